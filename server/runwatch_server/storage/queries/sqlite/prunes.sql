-- name: drop_done
DELETE FROM prunes WHERE done = 1 AND json_extract(doc, '$.asked_us') < ?;
