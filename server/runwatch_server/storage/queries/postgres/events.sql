-- name: few
INSERT INTO events(run, seq, epoch, type, at_us, received_us, level, payload, raw)
SELECT * FROM unnest(
    ?::bigint[], ?::bigint[], ?::bigint[], ?::text[], ?::bigint[], ?::bigint[], ?::text[],
    ?::bytea[], ?::bytea[]
);

-- name: remove_until
WITH gone AS (
    DELETE FROM events WHERE run = ? AND seq <= ?
    RETURNING coalesce(length(payload), 0) + coalesce(length(raw), 0) AS bytes
) SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM gone;

-- name: partitions
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'events'::regclass ORDER BY length(c.relname), c.relname;

-- name: today
SELECT (extract(epoch FROM now())::bigint / 86400)::int;

-- name: in_use
SELECT EXISTS (SELECT FROM events WHERE run >= ?1 AND run < ?2)
    OR EXISTS (SELECT FROM runs WHERE key >= ?1 AND key < ?2 AND active = 1);
