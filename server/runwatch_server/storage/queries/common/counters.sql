-- name: all
SELECT span, start_us, name, value FROM counters;

-- name: value
SELECT value FROM counters WHERE span = 'all' AND start_us = 0 AND name = ?;

-- name: prune
DELETE FROM counters WHERE (span, start_us, name) IN (
    SELECT span, start_us, name FROM counters WHERE span = ? AND start_us < ?
    ORDER BY start_us LIMIT ?
);
