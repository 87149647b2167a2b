-- The current artifacts and their inputs: one row per artifact and input.
CREATE VIEW v_lineage AS
SELECT
    asset_key, partition, data_version,
    input_asset_key, input_partition, input_data_version,
    study, code_version, run_id, mlflow_run_id, created_at
FROM current_lineage;
