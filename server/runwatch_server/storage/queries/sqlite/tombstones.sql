-- name: set_resumable
UPDATE meta SET value = max(value, ?) WHERE name = 'resumable';

-- name: resumable
SELECT value FROM meta WHERE name = 'resumable';
