-- name: revision
SELECT revision FROM head;

-- name: probe
UPDATE head SET probe = probe + 1;

-- name: begin
-- The lock every writer takes first; what it reads is as of when it has it.
SELECT revision, last_commit, (extract(epoch FROM now())::bigint / 86400)::int,
    EXISTS (SELECT FROM servers WHERE id <> ? AND seen_at > now() - interval '5 minutes')
FROM head FOR UPDATE;

-- name: finish
UPDATE head SET revision = ?, last_commit = ?, event_bytes = event_bytes + ?;

-- name: record
INSERT INTO commits(n, at_us, server, doc) VALUES (?, ?, ?, ?);

-- name: tell
SELECT pg_notify('runwatch', ?);

-- name: forgotten
UPDATE head SET commits_removed = ?;

-- name: sizes
SELECT event_bytes, pg_database_size(current_database()), (
    SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint
    FROM pg_inherits WHERE inhparent = 'events'::regclass
) FROM head;

-- name: lock
SELECT last_commit FROM head FOR UPDATE;
