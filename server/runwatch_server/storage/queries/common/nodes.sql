-- name: get
SELECT doc FROM nodes WHERE id = ?;

-- name: all
SELECT doc FROM nodes ORDER BY id;

-- name: save
INSERT INTO nodes(id, revision, doc) VALUES (?, ?, ?)
ON CONFLICT(id) DO UPDATE SET revision = excluded.revision, doc = excluded.doc;

-- name: delete
DELETE FROM nodes WHERE id = ?;

-- name: changed
SELECT doc FROM nodes WHERE revision > ? ORDER BY revision LIMIT ?;
