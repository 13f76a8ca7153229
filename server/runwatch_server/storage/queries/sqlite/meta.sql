-- name: revision
SELECT value FROM meta WHERE name = 'revision';

-- name: set_revision
UPDATE meta SET value = ? WHERE name = 'revision';

-- name: probe
-- Writes a page and changes nothing anyone reads; the same value again would not be written at all.
UPDATE meta SET value = value + 1 WHERE name = 'probe';
