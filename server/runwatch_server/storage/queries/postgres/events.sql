-- name: few
INSERT INTO events(run, seq, epoch, type, at_us, received_us, level, payload, raw)
SELECT ?1, * FROM unnest(
    ?2::bigint[], ?3::bigint[], ?4::text[], ?5::bigint[], ?6::bigint[], ?7::text[], ?8::bytea[],
    ?9::bytea[]
);

-- name: remove_until
WITH gone AS (
    DELETE FROM events WHERE run = ? AND seq <= ?
    RETURNING coalesce(length(payload), 0) + coalesce(length(raw), 0) AS bytes
) SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM gone;

-- name: partitions
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'events'::regclass ORDER BY c.relname;
