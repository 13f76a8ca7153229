-- name: get
SELECT run_id, epoch, node_id, expires_us FROM leases WHERE run_id = ?;

-- name: of_node
SELECT run_id, epoch, node_id, expires_us FROM leases WHERE node_id = ? ORDER BY run_id;

-- name: expired
SELECT run_id, epoch, node_id, expires_us FROM leases WHERE expires_us <= ?
ORDER BY expires_us, run_id LIMIT ?;

-- name: renew
-- Names no indexed column: a renewal touches one page.
UPDATE leases SET expires_us = ? WHERE run_id = ? AND epoch = ? AND node_id = ?;

-- name: put
INSERT INTO leases(run_id, epoch, node_id, expires_us) VALUES (?, ?, ?, ?)
ON CONFLICT(run_id) DO UPDATE SET epoch = excluded.epoch,
    node_id = excluded.node_id, expires_us = excluded.expires_us;

-- name: drop
DELETE FROM leases WHERE run_id = ?;
