-- By attention, then newest: what ended comes newest first, not by its random id.
DROP INDEX runs_by_attention;
CREATE INDEX runs_by_attention ON runs(attention, updated_us, id);
DROP INDEX runs_active;
CREATE INDEX runs_active ON runs(attention, updated_us, id) WHERE active = 1;

-- Two filters that are often set together and leave few rows of many. The status, finer than the
-- state, stands behind, so that no row is looked up for it.
CREATE INDEX runs_of_node_by_state ON runs(node_id, state, updated_us, id, status)
WHERE node_id IS NOT NULL;
CREATE INDEX runs_of_agent_by_state ON runs(agent_type, state, updated_us, id, status);
