-- The search file: made out of the database and thrown away when it does not fit; never migrated.

CREATE TABLE facts (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Whose text stands under a number among the trigrams. A changed text gets a new number, so that
-- numbers only rise; none is given twice.
CREATE TABLE run_texts (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL
) STRICT;

CREATE TABLE task_texts (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL
) STRICT;

-- Texts come folded, so letters are compared as they are. Only which row has a trigram is kept, not
-- where: a third of the size, and what is found is looked at again anyway.
CREATE VIRTUAL TABLE run_grams USING fts5(
    text, content='', contentless_delete=1, detail='none', tokenize='trigram case_sensitive 1'
);
CREATE VIRTUAL TABLE task_grams USING fts5(
    text, content='', contentless_delete=1, detail='none', tokenize='trigram case_sensitive 1'
);
CREATE VIRTUAL TABLE event_grams USING fts5(
    text, content='', contentless_delete=1, detail='none', tokenize='trigram case_sensitive 1'
);

-- Trigrams by their beginning, for words shorter than one.
CREATE VIRTUAL TABLE run_terms USING fts5vocab(run_grams, instance);
CREATE VIRTUAL TABLE task_terms USING fts5vocab(task_grams, instance);
CREATE VIRTUAL TABLE event_terms USING fts5vocab(event_grams, instance);

-- Events of a run up to a seq are indexed. `key` is the run's in the database.
CREATE TABLE event_runs (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key INTEGER NOT NULL,
    to_seq INTEGER NOT NULL
) STRICT;

-- Some events of one run, one row among the trigrams; id is event_runs.n << 32 | first seq.
CREATE TABLE event_spans (
    id INTEGER PRIMARY KEY,
    last_seq INTEGER NOT NULL
) STRICT;

-- event_runs.n of runs that are gone and whose spans are still to be removed.
CREATE TABLE gone_runs (
    n INTEGER PRIMARY KEY
) STRICT;
