-- name: get
SELECT doc FROM runs WHERE id = ?;

-- name: delete
-- The revision guards against deleting what somebody else just changed.
DELETE FROM runs WHERE id = ? AND revision = ?;

-- name: spec
SELECT doc FROM run_specs WHERE run_id = ?;

-- name: put_spec
INSERT INTO run_specs(run_id, doc) VALUES (?, ?);

-- name: delete_spec
DELETE FROM run_specs WHERE run_id = ?;

-- name: fold
SELECT doc FROM run_folds WHERE run_id = ?;

-- name: put_fold
INSERT INTO run_folds(run_id, doc) VALUES (?, ?)
ON CONFLICT(run_id) DO UPDATE SET doc = excluded.doc;

-- name: delete_fold
DELETE FROM run_folds WHERE run_id = ?;

-- name: put_label
INSERT INTO run_labels(run_id, name, value) VALUES (?, ?, ?);

-- name: delete_labels
DELETE FROM run_labels WHERE run_id = ?;

-- name: retries_of
SELECT id FROM runs WHERE parent_id = ? ORDER BY created_us, id LIMIT ?;

-- name: of_session
SELECT doc FROM runs WHERE agent_session_id = ? ORDER BY created_us DESC, id DESC LIMIT ?;

-- name: active_on
-- Both are active, and saying so lets the index of a node's few active runs serve.
SELECT doc FROM runs WHERE node_id = ? AND active = 1 AND status IN ('assigned', 'running')
ORDER BY created_us, id;

-- name: waiting
SELECT doc FROM runs WHERE waiting = 1 ORDER BY updated_us, id;

-- name: due
SELECT id, doc FROM runs WHERE due_us IS NOT NULL AND due_us <= ? ORDER BY due_us LIMIT ?;

-- name: set_due
UPDATE runs SET due_us = ? WHERE id = ?;

-- name: changed
SELECT doc FROM runs WHERE revision > ? ORDER BY revision LIMIT ?;

-- name: step
SELECT doc FROM steps WHERE run_id = ? AND n = ?;

-- name: steps_between
SELECT doc FROM steps WHERE run_id = ? AND n > ? AND n < ? ORDER BY n LIMIT ?;

-- name: steps_before
-- Downward; the caller turns them round.
SELECT doc FROM steps WHERE run_id = ? AND n < ? ORDER BY n DESC LIMIT ?;

-- name: delete_steps
DELETE FROM steps WHERE run_id = ?;

-- name: key
SELECT key FROM runs WHERE id = ?;

-- name: delete_lease
DELETE FROM leases WHERE run_id = ?;

-- name: delete_blocks
DELETE FROM event_blocks WHERE run = (SELECT key FROM runs WHERE id = ?);

-- name: delete_ended
DELETE FROM ended_runs WHERE run = (SELECT key FROM runs WHERE id = ?);

-- name: put_ended
INSERT INTO ended_runs(run, ended_us, kept) VALUES ((SELECT key FROM runs WHERE id = ?), ?, ?)
ON CONFLICT(run) DO UPDATE SET ended_us = excluded.ended_us, kept = excluded.kept;

-- name: remove_steps
DELETE FROM steps WHERE run_id = ?1 AND n <= (
    SELECT max(n) FROM (SELECT n FROM steps WHERE run_id = ?1 ORDER BY n LIMIT ?2) AS first
);
