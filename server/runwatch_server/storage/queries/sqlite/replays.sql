-- name: get
SELECT body_sha256, status, body, at_us FROM replays
WHERE principal = ? AND route = ? AND key = ?;

-- name: put
INSERT OR REPLACE INTO replays(principal, route, key, body_sha256, status, body, at_us)
VALUES (?, ?, ?, ?, ?, ?, ?);
