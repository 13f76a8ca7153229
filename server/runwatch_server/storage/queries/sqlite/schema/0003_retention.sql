-- What retention finds by an index instead of by looking through the runs, and what filtered pages
-- of events skip by.

-- Runs that ended, by when; ``kept`` while some of their events are stored.
CREATE TABLE ended_runs (
    run INTEGER PRIMARY KEY,
    ended_us INTEGER NOT NULL,
    kept INTEGER NOT NULL
) STRICT;

CREATE INDEX ended_runs_by_age ON ended_runs(ended_us, run);
CREATE INDEX ended_runs_with_events ON ended_runs(ended_us, run) WHERE kept = 1;

INSERT INTO ended_runs(run, ended_us, kept)
SELECT key, coalesce(json_extract(doc, '$.finished_us'), updated_us),
    coalesce(json_extract(doc, '$.event_count'), 0) > 0
    AND coalesce(json_extract(doc, '$.first_seq'), 1) <= last_seq
FROM runs WHERE status IN ('done', 'failed', 'cancelled', 'timeout');

-- How many events are stored; kept by `tally` from here on.
INSERT INTO counters(span, start_us, name, value)
SELECT 'all', 0, 'kept_events', sum(json_extract(doc, '$.event_count'))
FROM runs WHERE coalesce(json_extract(doc, '$.first_seq'), 1) <= last_seq
HAVING sum(json_extract(doc, '$.event_count')) > 0;

-- Which types and levels of events are in 256 numbers of a run, as bits; none for what was stored
-- before this step, which is looked through.
CREATE TABLE event_blocks (
    run INTEGER NOT NULL,
    block INTEGER NOT NULL,
    types INTEGER NOT NULL,
    levels INTEGER NOT NULL,
    PRIMARY KEY (run, block)
) STRICT, WITHOUT ROWID;

-- What `monitor-server prune` asks of a server that runs.
CREATE TABLE prunes (
    id INTEGER PRIMARY KEY,
    done INTEGER NOT NULL,
    doc TEXT NOT NULL
) STRICT;
