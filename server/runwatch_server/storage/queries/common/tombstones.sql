-- name: bury
INSERT INTO tombstones(kind, id, revision, at_us, process_id) VALUES (?, ?, ?, ?, ?)
ON CONFLICT(kind, id) DO UPDATE SET revision = excluded.revision, at_us = excluded.at_us, process_id = excluded.process_id;

-- name: unbury
-- What exists again is not to be reported as removed.
DELETE FROM tombstones WHERE kind = ? AND id = ?;

-- name: process
SELECT process_id FROM tombstones WHERE kind = 'node' AND id = ?;

-- name: changed
SELECT kind, id, revision, at_us FROM tombstones WHERE revision > ? ORDER BY revision LIMIT ?;

-- name: old
SELECT revision FROM tombstones WHERE at_us < ? ORDER BY revision LIMIT ?;

-- name: prune
DELETE FROM tombstones WHERE at_us < ? AND revision <= ?;
