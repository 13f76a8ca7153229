-- name: user
SELECT doc FROM users WHERE id = ?;

-- name: user_by_email
SELECT doc FROM users WHERE email = ?;

-- name: users
SELECT doc FROM users ORDER BY created_us, id;

-- name: save_user
INSERT INTO users(id, email, created_us, doc) VALUES (?, ?, ?, ?)
ON CONFLICT(id) DO UPDATE SET email = excluded.email, created_us = excluded.created_us,
    doc = excluded.doc;

-- name: session
SELECT id, user_id, created_us, expires_us, ended_us FROM sessions WHERE id = ?;

-- name: save_session
INSERT INTO sessions(id, user_id, created_us, expires_us, ended_us)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT(id) DO UPDATE SET user_id = excluded.user_id, created_us = excluded.created_us, expires_us = excluded.expires_us, ended_us = excluded.ended_us;

-- name: end_sessions
-- Sessions that ended before keep their moment.
UPDATE sessions SET ended_us = ? WHERE user_id = ? AND ended_us IS NULL AND id IS DISTINCT FROM ?;

-- name: token
SELECT doc, last_used_us FROM tokens WHERE id = ?;

-- name: tokens
SELECT doc, last_used_us FROM tokens ORDER BY created_us, id;

-- name: save_token
INSERT INTO tokens(id, created_us, last_used_us, doc) VALUES (?, ?, ?, ?)
ON CONFLICT(id) DO UPDATE SET created_us = excluded.created_us,
    last_used_us = excluded.last_used_us, doc = excluded.doc;

-- name: touch_token
-- Use is noted outside the document and never goes back.
UPDATE tokens SET last_used_us = ?1 WHERE id = ?2 AND coalesce(last_used_us, 0) < ?1;
