-- squawk-ignore-file require-lock-timeout, require-statement-timeout
-- Everything is new here, so nobody can be waited for; later steps set both.

-- Rows are a JSON document and the columns lists are filtered and ordered by. Text is ordered by its
-- bytes, as every other store orders it, whatever the database's locale is.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- One row. Whoever writes takes its lock first, so transactions become visible in the order of their
-- revisions, and no reader can see a later one without every earlier one.
CREATE TABLE head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    store_id text NOT NULL,
    revision bigint NOT NULL DEFAULT 0,
    -- The number of the last commit; some commits have no revision of their own.
    last_commit bigint NOT NULL DEFAULT 0,
    -- The smallest revision a feed may resume from; rises as tombstones are removed.
    resumable bigint NOT NULL DEFAULT 0,
    -- What payloads and raw lines of the stored events take.
    event_bytes bigint NOT NULL DEFAULT 0,
    -- Written by the probe of the disk, which changes nothing else.
    probe bigint NOT NULL DEFAULT 0,
    thresholds text
) WITH (fillfactor = 10);

-- What each commit changed, for the other servers; removed after some minutes.
CREATE TABLE commits (
    n bigint PRIMARY KEY,
    at_us bigint NOT NULL,
    server text NOT NULL,
    doc bytea NOT NULL
);

CREATE INDEX commits_by_age ON commits (at_us);

-- Servers at work; commits are told to the others only while there are any.
CREATE TABLE servers (
    id text COLLATE "C" PRIMARY KEY,
    seen_at timestamptz NOT NULL
);

-- Tasks of which one server at a time has the duty.
CREATE TABLE duties (
    name text COLLATE "C" PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE SEQUENCE run_keys;

CREATE TABLE runs (
    -- The day since 1970 in front, so that the events of a day's runs lie together.
    key bigint PRIMARY KEY DEFAULT (
        ((extract(epoch FROM now())::bigint / 86400) << 32) | (nextval('run_keys') & 4294967295)
    ),
    id text COLLATE "C" NOT NULL UNIQUE,
    task_id text COLLATE "C" NOT NULL,
    parent_id text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    active integer NOT NULL,
    waiting integer NOT NULL,
    health text COLLATE "C" NOT NULL,
    attention integer NOT NULL,
    node_id text COLLATE "C",
    agent_type text COLLATE "C" NOT NULL,
    priority integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    created_us bigint NOT NULL,
    updated_us bigint NOT NULL,
    duration_ms bigint,
    cost_usd double precision,
    total_tokens bigint,
    tool_failures bigint NOT NULL,
    search text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    last_seq bigint NOT NULL,
    revision bigint NOT NULL,
    due_us bigint,
    agent_session_id text COLLATE "C",
    doc text NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE INDEX runs_by_revision ON runs (revision);
CREATE INDEX runs_by_update_time ON runs (updated_us, id);
CREATE INDEX runs_by_start_time ON runs (created_us, id);
CREATE INDEX runs_by_attention ON runs (attention, updated_us, id);
CREATE INDEX runs_by_name ON runs (name, id);
CREATE INDEX runs_by_duration ON runs (duration_ms, id);
CREATE INDEX runs_by_cost ON runs (cost_usd, id);
CREATE INDEX runs_by_tokens ON runs (total_tokens, id);
CREATE INDEX runs_by_tool_failures ON runs (tool_failures, id);
CREATE INDEX runs_by_state ON runs (state, updated_us, id);
CREATE INDEX runs_by_status ON runs (status, updated_us, id);
CREATE INDEX runs_by_agent_type ON runs (agent_type, updated_us, id);
CREATE INDEX runs_of_node ON runs (node_id, updated_us, id) WHERE node_id IS NOT NULL;
CREATE INDEX runs_of_node_by_state ON runs (node_id, state, updated_us, id, status)
WHERE node_id IS NOT NULL;
CREATE INDEX runs_of_agent_by_state ON runs (agent_type, state, updated_us, id, status);
CREATE INDEX runs_of_task ON runs (task_id, created_us, id);
CREATE INDEX runs_of_parent ON runs (parent_id, created_us, id) WHERE parent_id IS NOT NULL;
CREATE INDEX runs_active ON runs (attention, updated_us, id) WHERE active = 1;
CREATE INDEX runs_active_of_node ON runs (node_id, created_us, id) WHERE active = 1;
CREATE INDEX runs_waiting ON runs (updated_us, id) WHERE waiting = 1;
CREATE INDEX runs_unhealthy ON runs (updated_us, id) WHERE health <> 'ok';
CREATE INDEX runs_queued ON runs (priority DESC, created_us, id) WHERE status = 'queued';
CREATE INDEX runs_due ON runs (due_us) WHERE due_us IS NOT NULL;
CREATE INDEX runs_of_session ON runs (agent_session_id, created_us, id)
WHERE agent_session_id IS NOT NULL;
CREATE INDEX runs_having ON runs USING gin (search gin_trgm_ops);

-- Runs that ended, by when; `kept` while some of their events are stored.
CREATE TABLE ended_runs (
    run bigint PRIMARY KEY,
    ended_us bigint NOT NULL,
    kept integer NOT NULL
);

CREATE INDEX ended_runs_by_age ON ended_runs (ended_us, run);
CREATE INDEX ended_runs_with_events ON ended_runs (ended_us, run) WHERE kept = 1;

CREATE TABLE run_labels (
    run_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, name)
);

CREATE INDEX run_labels_by_value ON run_labels (name, value, run_id);
-- Each label has values of its own: without this a value is taken for as rare under any name.
CREATE STATISTICS run_labels_together (mcv) ON name, value FROM run_labels;

CREATE TABLE run_specs (
    run_id text COLLATE "C" PRIMARY KEY,
    doc text NOT NULL
);

CREATE TABLE run_folds (
    run_id text COLLATE "C" PRIMARY KEY,
    doc text NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE steps (
    run_id text COLLATE "C" NOT NULL,
    n bigint NOT NULL,
    doc text NOT NULL,
    PRIMARY KEY (run_id, n)
);

-- A run's events lie in the partition of the day its key was given: the key begins with the number
-- of that day since 1970 (key >> 32). A partition is dropped when none of its runs has events left.
CREATE TABLE events (
    run bigint NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    type text COLLATE "C" NOT NULL,
    at_us bigint NOT NULL,
    received_us bigint NOT NULL,
    level text COLLATE "C" NOT NULL,
    payload bytea,
    raw bytea,
    PRIMARY KEY (run, seq)
) PARTITION BY RANGE (run);

-- Which types and levels of events are in 256 numbers of a run, as bits.
CREATE TABLE event_blocks (
    run bigint NOT NULL,
    block bigint NOT NULL,
    types bigint NOT NULL,
    levels bigint NOT NULL,
    PRIMARY KEY (run, block)
);

CREATE TABLE tasks (
    id text COLLATE "C" PRIMARY KEY,
    status text COLLATE "C" NOT NULL,
    parent_id text COLLATE "C",
    created_us bigint NOT NULL,
    search text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    doc text NOT NULL
);

CREATE INDEX tasks_by_revision ON tasks (revision);
CREATE INDEX tasks_by_created ON tasks (created_us, id);
CREATE INDEX tasks_by_status ON tasks (status, created_us, id);
CREATE INDEX tasks_of_parent ON tasks (parent_id, created_us, id) WHERE parent_id IS NOT NULL;
CREATE INDEX tasks_having ON tasks USING gin (search gin_trgm_ops);

CREATE TABLE task_labels (
    task_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    PRIMARY KEY (task_id, name)
);

CREATE INDEX task_labels_by_value ON task_labels (name, value, task_id);
CREATE STATISTICS task_labels_together (mcv) ON name, value FROM task_labels;

CREATE TABLE nodes (
    id text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL,
    doc text NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX nodes_by_revision ON nodes (revision);

-- No index on the expiry, which every batch moves: only runs under way have a lease.
CREATE TABLE leases (
    run_id text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL,
    node_id text COLLATE "C" NOT NULL,
    expires_us bigint NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX leases_of_node ON leases (node_id);

CREATE TABLE users (
    id text COLLATE "C" PRIMARY KEY,
    email text COLLATE "C" NOT NULL UNIQUE,
    created_us bigint NOT NULL,
    doc text NOT NULL
);

CREATE TABLE sessions (
    id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    expires_us bigint NOT NULL,
    ended_us bigint,
    created_us bigint NOT NULL
);

CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_us);

CREATE TABLE tokens (
    id text COLLATE "C" PRIMARY KEY,
    created_us bigint NOT NULL,
    last_used_us bigint,
    doc text NOT NULL
);

CREATE TABLE replays (
    principal text COLLATE "C" NOT NULL,
    route text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    at_us bigint NOT NULL,
    status integer NOT NULL,
    body_sha256 text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (principal, route, key)
);

CREATE INDEX replays_by_age ON replays (at_us);

CREATE TABLE tombstones (
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    at_us bigint NOT NULL,
    process_id text COLLATE "C",
    PRIMARY KEY (kind, id)
);

CREATE INDEX tombstones_by_revision ON tombstones (revision, at_us);

CREATE TABLE counters (
    span text COLLATE "C" NOT NULL,
    start_us bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (span, start_us, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- What `monitor-server prune` asks of a server that runs.
CREATE TABLE prunes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    done integer NOT NULL,
    doc text NOT NULL
);

-- Alerts not delivered yet, each written in the commit that made it due.
CREATE TABLE alerts (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    run_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    at_us bigint NOT NULL,
    revision bigint NOT NULL,
    attempts integer NOT NULL,
    text text NOT NULL,
    workflow bytea NOT NULL
);

INSERT INTO head (store_id)
SELECT substr(md5(random()::text || clock_timestamp()::text), 1, 16);

-- Sessions of agents that are known by their telemetry, and the records of theirs that were taken.
CREATE TABLE telemetry (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_type text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    last_us bigint NOT NULL,
    due_us bigint,
    doc text NOT NULL,
    UNIQUE (agent_type, session_id)
);

CREATE INDEX telemetry_due ON telemetry (due_us) WHERE due_us IS NOT NULL;
CREATE INDEX telemetry_settled ON telemetry (last_us) WHERE due_us IS NULL;

CREATE TABLE telemetry_seen (
    session bigint NOT NULL,
    digest bigint NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (session, digest)
);

CREATE INDEX telemetry_seen_by_age ON telemetry_seen (session, n);
