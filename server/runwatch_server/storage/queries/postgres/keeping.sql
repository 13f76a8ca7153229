-- name: head
SELECT store_id, revision, resumable, thresholds FROM head;

-- name: set_id
UPDATE head SET store_id = ?;

-- name: set_resumable
UPDATE head SET resumable = ?;

-- name: insert_run
-- The key begins with the day the run was made, so that retention can drop whole days; with a day
-- of the last year, as each day takes a partition.
INSERT INTO runs(id, task_id, parent_id, status, state, active, waiting, health, attention,
    node_id, agent_type, priority, name, created_us, updated_us, duration_ms, cost_usd,
    total_tokens, tool_failures, search, epoch, last_seq, revision, agent_session_id, due_us, doc,
    key)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
    ?21, ?22, ?23, ?24, ?25, ?26,
    (greatest(
        least(?14::bigint / 86400000000, extract(epoch FROM now())::bigint / 86400),
        extract(epoch FROM now())::bigint / 86400 - 365
    ) << 32) | (nextval('run_keys') & 4294967295))
RETURNING key;

-- name: busy
SELECT count(*) FROM servers WHERE seen_at > now() - interval '5 minutes';
