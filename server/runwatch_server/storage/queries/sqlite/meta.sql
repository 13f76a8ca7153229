-- name: revision
SELECT value FROM meta WHERE name = 'revision';

-- name: set_revision
UPDATE meta SET value = ? WHERE name = 'revision';

-- name: probe
-- Writes a page and changes nothing.
UPDATE meta SET value = value WHERE name = 'probe';
