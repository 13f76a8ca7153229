-- name: get
SELECT id, doc FROM prunes WHERE id = ?;

-- name: open
SELECT id, doc FROM prunes WHERE done = 0 ORDER BY id LIMIT 1;

-- name: insert
INSERT INTO prunes(done, doc) VALUES (?, ?) RETURNING id;

-- name: replace
UPDATE prunes SET done = ?, doc = ? WHERE id = ?;

-- name: drop
DELETE FROM prunes WHERE id = ?;
