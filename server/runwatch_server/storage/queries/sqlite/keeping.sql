-- name: head
SELECT (SELECT value FROM meta WHERE name = 'store_id'),
    (SELECT value FROM meta WHERE name = 'revision'),
    (SELECT value FROM meta WHERE name = 'resumable'),
    (SELECT value FROM meta WHERE name = 'thresholds');

-- name: set_id
UPDATE meta SET value = ? WHERE name = 'store_id';

-- name: set_resumable
UPDATE meta SET value = ? WHERE name = 'resumable';

-- name: insert_run
INSERT INTO runs(id, task_id, parent_id, status, state, active, waiting, health, attention,
    node_id, agent_type, priority, name, created_us, updated_us, duration_ms, cost_usd,
    total_tokens, tool_failures, search, epoch, last_seq, revision, agent_session_id, due_us, doc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
RETURNING key;

-- name: busy
-- The lock beside the file says it.
SELECT 0;
