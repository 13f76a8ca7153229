-- name: after
-- The last row stands for all that are missing, where the head is further than what is kept.
(SELECT n, doc FROM commits WHERE n > ?1 ORDER BY n LIMIT ?2)
UNION ALL
(SELECT last_commit, NULL FROM head
 WHERE last_commit > ?1 AND NOT EXISTS (SELECT FROM commits WHERE n > ?1));

-- name: events
SELECT runs.id, seq, events.epoch, type, at_us, received_us, level, payload, raw
FROM unnest(?::text[], ?::bigint[], ?::bigint[]) AS told(id, first, last)
JOIN runs ON runs.id = told.id
JOIN events ON events.run = runs.key AND events.seq BETWEEN told.first AND told.last
ORDER BY runs.id, seq;

-- name: prune
DELETE FROM commits WHERE n IN (
    SELECT n FROM commits WHERE at_us < (extract(epoch FROM now()) * 1000000)::bigint - ?::bigint
    ORDER BY n LIMIT 10000
);

-- name: outcome
-- Of a transaction, if this database had one of that name.
SELECT CASE WHEN ?1::text::xid8 < pg_snapshot_xmax(pg_current_snapshot())
    THEN pg_xact_status(?1::text::xid8) END;

-- name: join
INSERT INTO servers(id, seen_at) VALUES (?, now())
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at;

-- name: leave
DELETE FROM servers WHERE id = ? OR seen_at < now() - interval '1 hour';

-- name: resign
DELETE FROM duties WHERE holder = ?;

-- name: hold
-- By the database's clock, as no two servers' agree.
INSERT INTO duties(name, holder, expires_at) VALUES (?1, ?2, now() + ?3)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE duties.holder = excluded.holder OR duties.expires_at < now()
RETURNING holder;

-- name: last
SELECT last_commit FROM head;
