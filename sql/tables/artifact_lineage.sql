-- One row per materialisation, stored file and input. Rows are never deleted: those with the newest created_at are current.
CREATE TABLE artifact_lineage (
    asset_key          VARCHAR NOT NULL,
    partition          VARCHAR NOT NULL,   -- model|trait, model, trait, or all
    model              VARCHAR NOT NULL,   -- '' where the asset has no model
    trait              VARCHAR NOT NULL,
    data_version       VARCHAR NOT NULL,   -- hash of the content
    input_asset_key    VARCHAR NOT NULL,   -- an asset, or catalog/..., study/..., code for sources outside the graph
    input_partition    VARCHAR NOT NULL,
    input_data_version VARCHAR NOT NULL,
    study              VARCHAR NOT NULL,
    mlflow_run_id      VARCHAR NOT NULL,   -- '' where tracking was off
    path               VARCHAR NOT NULL,   -- relative to the data folder
    bytes              BIGINT  NOT NULL,
    file_sha256        VARCHAR NOT NULL,
    created_at         TIMESTAMP NOT NULL, -- UTC
    run_id             VARCHAR NOT NULL,
    code_version       VARCHAR NOT NULL
);
