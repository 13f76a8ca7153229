-- name: revision
SELECT revision FROM head;

-- name: clock
-- What it is now, and not when the transaction began.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: probe
UPDATE head SET probe = probe + 1;

-- name: begin
-- Once the lock is held.
SELECT revision, last_commit, (extract(epoch FROM now())::bigint / 86400)::int,
    EXISTS (SELECT FROM servers WHERE id <> ? AND seen_at > now() - interval '5 minutes'),
    pg_current_xact_id()::text
FROM head;

-- name: record
-- When, by the database's clock, as no two servers' agree.
INSERT INTO commits(n, at_us, server, doc)
VALUES (?, (extract(epoch FROM now()) * 1000000)::bigint, ?, ?);

-- name: sizes
SELECT event_bytes, pg_database_size(current_database()), (
    SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint
    FROM pg_inherits WHERE inhparent = 'events'::regclass
) FROM head;

-- name: lock
-- What every writer takes first.
SELECT last_commit FROM head FOR UPDATE;
