-- name: pending
SELECT id, run_id, kind, at_us, revision, text, workflow, attempts FROM alerts ORDER BY n;

-- name: insert
INSERT INTO alerts(id, run_id, kind, at_us, revision, text, workflow, attempts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: tried
UPDATE alerts SET attempts = ? WHERE id = ?;

-- name: over
DELETE FROM alerts WHERE id = ?;
