-- The current artifacts and what each was made from: one row per artifact and input.
CREATE VIEW v_lineage AS
WITH newest AS (
    SELECT asset_key, partition, max(created_at) AS created_at
    FROM artifact_lineage
    GROUP BY asset_key, partition
)
SELECT DISTINCT
    l.asset_key, l.partition, l.data_version,
    l.input_asset_key, l.input_partition, l.input_data_version,
    l.study, l.code_version, l.run_id, l.mlflow_run_id, l.created_at
FROM artifact_lineage AS l
JOIN newest USING (asset_key, partition, created_at);
