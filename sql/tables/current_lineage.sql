-- Inputs of every current artifact: the newest materialisation in artifact_lineage, one row per
-- input. Filled by sync, so that tracing a verdict back to prompts and weights does not sort years of history.
CREATE TABLE current_lineage (
    asset_key          VARCHAR NOT NULL,
    partition          VARCHAR NOT NULL,
    model              VARCHAR NOT NULL,
    trait              VARCHAR NOT NULL,
    data_version       VARCHAR NOT NULL,
    input_asset_key    VARCHAR NOT NULL,
    input_partition    VARCHAR NOT NULL,
    input_data_version VARCHAR NOT NULL,
    study              VARCHAR NOT NULL,
    code_version       VARCHAR NOT NULL,
    run_id             VARCHAR NOT NULL,
    mlflow_run_id      VARCHAR NOT NULL,
    created_at         TIMESTAMP NOT NULL
);
