-- name: queued
SELECT doc FROM runs WHERE status = 'queued' ORDER BY priority DESC, created_us, id LIMIT ?;

-- name: ended
SELECT doc FROM ended_runs JOIN runs ON runs.key = ended_runs.run
ORDER BY ended_us, run LIMIT nullif(?, -1);

-- name: ended_with_events
SELECT doc FROM ended_runs JOIN runs ON runs.key = ended_runs.run
WHERE kept = 1 ORDER BY ended_us, run LIMIT nullif(?, -1);
