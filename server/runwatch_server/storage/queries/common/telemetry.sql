-- name: get
SELECT key, doc FROM telemetry WHERE agent_type = ? AND session_id = ?;

-- name: insert
INSERT INTO telemetry(agent_type, session_id, last_us, due_us, doc) VALUES (?, ?, ?, ?, ?)
RETURNING key;

-- name: replace
UPDATE telemetry SET last_us = ?, due_us = ?, doc = ? WHERE key = ?;

-- name: remember
INSERT INTO telemetry_seen(session, digest, n) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: forget
DELETE FROM telemetry_seen WHERE session = ? AND n <= ?;

-- name: due
SELECT key, doc FROM telemetry WHERE due_us IS NOT NULL AND due_us <= ? ORDER BY due_us LIMIT ?;

-- name: settled
SELECT key FROM telemetry WHERE due_us IS NULL AND last_us < ? ORDER BY last_us LIMIT ?;

-- name: drop
DELETE FROM telemetry WHERE key = ?;

-- name: drop_seen
DELETE FROM telemetry_seen WHERE session = ?;
