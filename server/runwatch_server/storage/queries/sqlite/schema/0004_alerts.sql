-- Alerts not delivered yet, each written in the commit that made it due.
CREATE TABLE alerts (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    text TEXT NOT NULL,
    workflow BLOB NOT NULL
) STRICT;
