-- name: prune_replays
DELETE FROM replays WHERE rowid IN (
    SELECT rowid FROM replays WHERE at_us < ? ORDER BY at_us LIMIT ?
);

-- name: prune_sessions
-- A session is of no use once it ended or expired.
DELETE FROM sessions WHERE rowid IN (
    SELECT rowid FROM sessions WHERE expires_us < ?1 OR ended_us < ?1 LIMIT ?2
);

-- name: thresholds
SELECT value FROM meta WHERE name = 'thresholds';

-- name: set_thresholds
INSERT OR REPLACE INTO meta(name, value) VALUES ('thresholds', ?);

-- name: make_active_due
UPDATE runs SET due_us = 0 WHERE active = 1;
