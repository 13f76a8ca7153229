-- Rows of which there are few: accounts, logins and what else is kept alike, by kind.
CREATE TABLE kept (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    node_id TEXT,
    account_id TEXT,
    status TEXT,
    name TEXT,
    due_us INTEGER,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    -- 0 where changes are told to nobody.
    revision INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

CREATE INDEX kept_by_age ON kept(kind, created_us, id);
CREATE INDEX kept_of_node ON kept(kind, node_id, created_us, id) WHERE node_id IS NOT NULL;
CREATE INDEX kept_of_account ON kept(kind, account_id, created_us, id)
WHERE account_id IS NOT NULL;
CREATE INDEX kept_by_status ON kept(kind, status, created_us, id) WHERE status IS NOT NULL;
CREATE INDEX kept_by_name ON kept(kind, name, created_us, id) WHERE name IS NOT NULL;
CREATE INDEX kept_due ON kept(kind, due_us, id) WHERE due_us IS NOT NULL;
CREATE INDEX kept_by_revision ON kept(revision);
