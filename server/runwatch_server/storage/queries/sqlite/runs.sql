-- name: queued
-- Named, as SQLite would rather find them by status and sort them.
SELECT doc FROM runs INDEXED BY runs_queued WHERE status = 'queued' ORDER BY priority DESC, created_us, id LIMIT ?;

-- name: ended
SELECT doc FROM ended_runs CROSS JOIN runs ON runs.key = ended_runs.run
ORDER BY ended_us, run LIMIT ?;

-- name: ended_with_events
SELECT doc FROM ended_runs CROSS JOIN runs ON runs.key = ended_runs.run
WHERE kept = 1 ORDER BY ended_us, run LIMIT ?;
