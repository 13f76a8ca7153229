-- name: prune_replays
DELETE FROM replays WHERE (principal, route, key) IN (
    SELECT principal, route, key FROM replays WHERE at_us < ? ORDER BY at_us LIMIT ?
);

-- name: prune_sessions
-- A session is of no use once it ended or expired.
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE expires_us < ?1 OR ended_us < ?1 LIMIT ?2
);

-- name: thresholds
SELECT thresholds FROM head;

-- name: set_thresholds
UPDATE head SET thresholds = ?;

-- name: make_active_due
UPDATE runs SET due_us = 0 WHERE active = 1;
