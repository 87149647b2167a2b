-- What every artifact would be made from today; filled by sync, compared with artifact_lineage by v_stale_artifacts.
CREATE TABLE expected_inputs (
    asset_key          VARCHAR NOT NULL,
    partition          VARCHAR NOT NULL,
    input_asset_key    VARCHAR NOT NULL,
    input_partition    VARCHAR NOT NULL,
    input_data_version VARCHAR NOT NULL,
    missing_file       VARCHAR NOT NULL   -- '' while every file is there
);
