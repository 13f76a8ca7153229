-- name: between
SELECT seq, epoch, type, at_us, received_us, level, payload, raw FROM events
WHERE run = (SELECT key FROM runs WHERE id = ?) AND seq BETWEEN ? AND ? ORDER BY seq;

-- name: after
SELECT seq, epoch, type, at_us, received_us, level, payload, raw FROM events
WHERE run = (SELECT key FROM runs WHERE id = ?) AND seq > ? ORDER BY seq LIMIT ?;

-- name: after_without_raw
SELECT seq, epoch, type, at_us, received_us, level, payload, NULL FROM events
WHERE run = (SELECT key FROM runs WHERE id = ?) AND seq > ? ORDER BY seq LIMIT ?;

-- name: last_of_first
SELECT max(seq) FROM (SELECT seq FROM events WHERE run = ? ORDER BY seq LIMIT ?) AS first;

-- name: run
SELECT key FROM runs WHERE id = ?;
