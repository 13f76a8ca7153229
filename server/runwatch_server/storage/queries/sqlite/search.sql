-- What is asked of the database for the search file, and of the search file itself.

-- name: fact
SELECT value FROM facts WHERE name = ?;

-- name: set_fact
INSERT INTO facts(name, value) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value;

-- name: changed_runs
SELECT key, id, revision, last_seq, search FROM runs INDEXED BY runs_by_revision
WHERE revision > ? ORDER BY revision LIMIT ?;

-- name: runs_of_revision
SELECT key, id, revision, last_seq, search FROM runs WHERE revision = ?;

-- name: changed_tasks
SELECT rowid, id, revision, 0, search FROM tasks INDEXED BY tasks_by_revision
WHERE revision > ? ORDER BY revision LIMIT ?;

-- name: tasks_of_revision
SELECT rowid, id, revision, 0, search FROM tasks WHERE revision = ?;

-- name: removed
SELECT kind, id, revision FROM tombstones
WHERE revision > ? AND revision <= ? ORDER BY revision LIMIT ?;

-- name: removed_with
SELECT kind, id, revision FROM tombstones WHERE revision = ?;

-- name: removed_since
SELECT 1 FROM tombstones WHERE kind = 'run' AND id = ? AND revision > ?;

-- name: run_key
SELECT key FROM runs WHERE id = ?;

-- name: events
SELECT seq, payload FROM events WHERE run = ? AND seq > ? AND seq < 4294967296 ORDER BY seq;

-- name: first_seq
SELECT min(seq) FROM events WHERE run = ?;

-- name: event_run
SELECT n, key, to_seq FROM event_runs WHERE id = ?;

-- name: new_event_run
INSERT INTO event_runs(id, key, to_seq) VALUES (?, ?, 0) RETURNING n;

-- name: set_to_seq
UPDATE event_runs SET to_seq = ? WHERE n = ?;

-- name: forget_event_run
DELETE FROM event_runs WHERE id = ? RETURNING n;

-- name: event_runs_after
SELECT n, id, key FROM event_runs WHERE n > ? ORDER BY n LIMIT ?;

-- name: put_gone
INSERT OR IGNORE INTO gone_runs(n) VALUES (?);

-- name: gone
SELECT n FROM gone_runs LIMIT 1;

-- name: end_gone
DELETE FROM gone_runs WHERE n = ?;

-- name: put_span
INSERT INTO event_spans(id, last_seq) VALUES (?, ?);

-- name: put_span_text
INSERT INTO event_grams(rowid, text) VALUES (?, ?);

-- name: spans_below
SELECT id FROM event_spans WHERE id BETWEEN ? AND ? AND last_seq < ? ORDER BY id LIMIT ?;

-- name: span_at
SELECT max(id) FROM event_spans WHERE id BETWEEN ? AND ?;

-- name: delete_span
DELETE FROM event_spans WHERE id = ?;

-- name: delete_span_text
DELETE FROM event_grams WHERE rowid = ?;

-- name: spans_upward
SELECT event_spans.id, last_seq FROM event_grams CROSS JOIN event_spans ON event_spans.id = event_grams.rowid
WHERE event_grams MATCH ? AND event_grams.rowid BETWEEN ? AND ? ORDER BY event_grams.rowid LIMIT ?;

-- name: spans_downward
SELECT event_spans.id, last_seq FROM event_grams CROSS JOIN event_spans ON event_spans.id = event_grams.rowid
WHERE event_grams MATCH ? AND event_grams.rowid BETWEEN ? AND ? ORDER BY event_grams.rowid DESC LIMIT ?;

-- name: next_term
SELECT term FROM event_terms WHERE term >= ? AND term <= ? LIMIT 1;

-- name: next_term_after
SELECT term FROM event_terms WHERE term > ? AND term <= ? LIMIT 1;
