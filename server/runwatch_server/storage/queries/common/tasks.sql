-- name: get
SELECT doc FROM tasks WHERE id = ?;

-- name: insert
INSERT INTO tasks(id, status, parent_id, created_us, search, revision, doc)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: update
UPDATE tasks SET status = ?, parent_id = ?, created_us = ?, search = ?, revision = ?, doc = ?
WHERE id = ?;

-- name: delete
DELETE FROM tasks WHERE id = ?;

-- name: children
SELECT doc FROM tasks WHERE parent_id = ? ORDER BY created_us, id;

-- name: changed
SELECT doc FROM tasks WHERE revision > ? ORDER BY revision LIMIT ?;

-- name: put_label
INSERT INTO task_labels(task_id, name, value) VALUES (?, ?, ?);

-- name: delete_labels
DELETE FROM task_labels WHERE task_id = ?;
