-- Rows of which there are few: accounts, logins and what else is kept alike, by kind.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE TABLE kept (
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    node_id text COLLATE "C",
    account_id text COLLATE "C",
    status text COLLATE "C",
    name text COLLATE "C",
    due_us bigint,
    created_us bigint NOT NULL,
    updated_us bigint NOT NULL,
    -- 0 where changes are told to nobody.
    revision bigint NOT NULL,
    doc text NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE INDEX kept_by_age ON kept (kind, created_us, id);
CREATE INDEX kept_of_node ON kept (kind, node_id, created_us, id) WHERE node_id IS NOT NULL;
CREATE INDEX kept_of_account ON kept (kind, account_id, created_us, id)
WHERE account_id IS NOT NULL;
CREATE INDEX kept_by_status ON kept (kind, status, created_us, id) WHERE status IS NOT NULL;
CREATE INDEX kept_by_name ON kept (kind, name, created_us, id) WHERE name IS NOT NULL;
CREATE INDEX kept_due ON kept (kind, due_us, id) WHERE due_us IS NOT NULL;
CREATE INDEX kept_by_revision ON kept (revision);
