-- name: get
SELECT doc FROM kept WHERE kind = ? AND id = ?;

-- name: due
SELECT doc FROM kept WHERE kind = ? AND due_us <= ? ORDER BY due_us, id LIMIT ?;

-- name: save
INSERT INTO kept(kind, id, node_id, account_id, status, name, due_us, created_us, updated_us,
    revision, doc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(kind, id) DO UPDATE SET node_id = excluded.node_id, account_id = excluded.account_id,
    status = excluded.status, name = excluded.name, due_us = excluded.due_us,
    created_us = excluded.created_us, updated_us = excluded.updated_us,
    revision = excluded.revision, doc = excluded.doc;

-- name: delete
DELETE FROM kept WHERE kind = ? AND id = ?;

-- name: changed
SELECT kind, doc FROM kept WHERE revision > ? ORDER BY revision LIMIT ?;
