-- Sessions of agents that are known by their telemetry, the records of theirs that were taken, and
-- which run an agent's session is.
CREATE TABLE telemetry (
    key INTEGER PRIMARY KEY,
    agent_type TEXT NOT NULL,
    session_id TEXT NOT NULL,
    last_us INTEGER NOT NULL,
    due_us INTEGER,
    doc TEXT NOT NULL,
    UNIQUE (agent_type, session_id)
) STRICT;

CREATE INDEX telemetry_due ON telemetry(due_us) WHERE due_us IS NOT NULL;
CREATE INDEX telemetry_settled ON telemetry(last_us) WHERE due_us IS NULL;

CREATE TABLE telemetry_seen (
    session INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (session, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX telemetry_seen_by_age ON telemetry_seen(session, n);

ALTER TABLE runs ADD COLUMN agent_session_id TEXT;
UPDATE runs SET agent_session_id = json_extract(doc, '$.agent_session_id');
CREATE INDEX runs_of_session ON runs(agent_session_id, created_us, id)
WHERE agent_session_id IS NOT NULL;
