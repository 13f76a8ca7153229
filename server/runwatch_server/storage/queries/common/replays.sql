-- name: get
SELECT body_sha256, status, body, at_us FROM replays
WHERE principal = ? AND route = ? AND key = ?;

-- name: put
INSERT INTO replays(principal, route, key, body_sha256, status, body, at_us)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(principal, route, key) DO UPDATE SET body_sha256 = excluded.body_sha256,
    status = excluded.status, body = excluded.body, at_us = excluded.at_us;
