-- name: drop_done
DELETE FROM prunes WHERE done = 1 AND (doc::json ->> 'asked_us')::bigint < ?;
