-- Inputs that every artifact would have if made now; filled by sync, compared with lineage by v_stale_artifacts.
CREATE TABLE expected_inputs (
    asset_key          VARCHAR NOT NULL,
    partition          VARCHAR NOT NULL,
    input_asset_key    VARCHAR NOT NULL,
    input_partition    VARCHAR NOT NULL,
    input_data_version VARCHAR NOT NULL,
    problem            VARCHAR NOT NULL   -- sentence on the first missing or damaged file; '' if all are intact
);
