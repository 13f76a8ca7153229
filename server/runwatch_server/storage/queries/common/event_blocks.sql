-- name: get
SELECT types, levels FROM event_blocks WHERE run = ? AND block = ?;

-- name: put
INSERT INTO event_blocks(run, block, types, levels) VALUES (?, ?, ?, ?)
ON CONFLICT(run, block) DO UPDATE SET types = excluded.types, levels = excluded.levels;

-- name: stored
-- What a block holds already whose row was never written.
SELECT DISTINCT type, level FROM events WHERE run = ? AND seq BETWEEN ? AND ?;

-- name: first
SELECT min(block) FROM event_blocks WHERE run = ?;

-- name: upward
SELECT block FROM event_blocks
WHERE run = ? AND block >= ? AND (types & ?) <> 0 AND (levels & ?) <> 0 ORDER BY block;

-- name: downward
SELECT block FROM event_blocks
WHERE run = ? AND block <= ? AND (types & ?) <> 0 AND (levels & ?) <> 0 ORDER BY block DESC;

-- name: remove_before
DELETE FROM event_blocks WHERE run = ? AND block < ?;
