-- The runs of the last 30 days, the latest first, with their share of rejects: of each attempt the
-- last state that it reached.
-- Replace garden.predictions by the output table.
SELECT
  run_id,
  state,
  reason,
  started_at,
  TIMESTAMP_DIFF(finished_at, started_at, SECOND) AS duration_s,
  rows_read,
  rows_scored,
  SAFE_DIVIDE(rows_rejected, rows_read) AS rejected_fraction,
  model_digest
FROM `garden.predictions__runs`
WHERE started_at > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 30 DAY)
QUALIFY ROW_NUMBER() OVER (PARTITION BY run_id, attempt ORDER BY finished_at DESC) = 1
ORDER BY finished_at DESC
