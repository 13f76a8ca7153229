-- name: runs
-- By what both stores order alike, so that their archives are the same.
SELECT key FROM runs ORDER BY created_us, id;

-- name: run
SELECT runs.id, runs.doc, runs.due_us, run_specs.doc, run_folds.doc,
    leases.epoch, leases.node_id, leases.expires_us
FROM runs
LEFT JOIN run_specs ON run_specs.run_id = runs.id
LEFT JOIN run_folds ON run_folds.run_id = runs.id
LEFT JOIN leases ON leases.run_id = runs.id
WHERE runs.key = ?;

-- name: steps
SELECT n, doc FROM steps WHERE run_id = ? AND n > ? ORDER BY n LIMIT ?;

-- name: events
SELECT seq, epoch, type, at_us, received_us, level, payload, raw FROM events
WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?;

-- name: blocks
SELECT block, types, levels FROM event_blocks WHERE run = ? ORDER BY block;

-- name: tasks
SELECT id FROM tasks ORDER BY created_us, id;

-- name: task
SELECT doc FROM tasks WHERE id = ?;

-- name: nodes
SELECT doc FROM nodes ORDER BY id;

-- name: kept
SELECT kind, id, node_id, account_id, status, name, due_us, created_us, updated_us, revision, doc
FROM kept ORDER BY kind, created_us, id;

-- name: tombstones
SELECT kind, id, revision, at_us, process_id FROM tombstones ORDER BY revision, kind, id;

-- name: counters
SELECT span, start_us, name, value FROM counters ORDER BY span, start_us, name;

-- name: prunes
SELECT done, doc FROM prunes ORDER BY id;

-- name: telemetry
SELECT key, agent_type, session_id, last_us, due_us, doc FROM telemetry
ORDER BY agent_type, session_id;

-- name: seen
SELECT digest, n FROM telemetry_seen WHERE session = ? ORDER BY digest;

-- name: sessions
SELECT id, user_id, created_us, expires_us, ended_us FROM sessions ORDER BY id;

-- name: replays
SELECT principal, route, key, body_sha256, status, body, at_us FROM replays
ORDER BY principal, route, key;

-- name: columns
SELECT id, task_id, parent_id, status, state, active, waiting, health, attention, node_id,
    agent_type, priority, name, created_us, updated_us, duration_ms, cost_usd, total_tokens,
    tool_failures, search, epoch, last_seq, revision, agent_session_id
FROM runs WHERE key = ?;

-- name: labels
SELECT name, value FROM run_labels WHERE run_id = ?;

-- name: ended
SELECT ended_us, kept FROM ended_runs WHERE run = ?;

-- name: held
-- What is stored of a run's events.
SELECT count(*), min(seq), max(seq) FROM events WHERE run = ?;

-- name: numbers
SELECT seq FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?;

-- name: step_count
SELECT count(*) FROM steps WHERE run_id = ?;

-- name: stray_events
SELECT DISTINCT run FROM events WHERE NOT EXISTS (SELECT 1 FROM runs WHERE key = events.run)
LIMIT 20;

-- name: stray_steps
SELECT DISTINCT run_id FROM steps WHERE NOT EXISTS (SELECT 1 FROM runs WHERE id = steps.run_id)
LIMIT 20;

-- name: stray_specs
SELECT run_id FROM run_specs
WHERE NOT EXISTS (SELECT 1 FROM runs WHERE id = run_specs.run_id) LIMIT 20;

-- name: stray_folds
SELECT run_id FROM run_folds
WHERE NOT EXISTS (SELECT 1 FROM runs WHERE id = run_folds.run_id) LIMIT 20;

-- name: stray_leases
SELECT run_id FROM leases
WHERE NOT EXISTS (SELECT 1 FROM runs WHERE id = leases.run_id) LIMIT 20;

-- name: insert_seen
INSERT INTO telemetry_seen(session, digest, n) VALUES (?, ?, ?);
