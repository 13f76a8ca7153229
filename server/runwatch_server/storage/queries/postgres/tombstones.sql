-- name: set_resumable
UPDATE head SET resumable = greatest(resumable, ?);

-- name: resumable
SELECT resumable FROM head;
