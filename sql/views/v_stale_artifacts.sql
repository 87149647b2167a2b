-- Artifacts that are out of date, with the reasons: an input changed (prompts, code, a setting of the study, another asset), or a file
-- is missing or damaged. `expected_inputs` is refreshed by every `steer run` and `steer db sync`.
CREATE VIEW v_stale_artifacts AS
WITH changed AS (
    SELECT
        coalesce(e.asset_key, l.asset_key) AS asset_key,
        coalesce(e.partition, l.partition) AS partition,
        CASE
            WHEN l.input_data_version IS NULL THEN 'new input: '
            WHEN e.input_data_version IS NULL THEN 'input is gone: '
            WHEN e.input_asset_key = 'code' THEN 'code changed: '
            WHEN e.input_asset_key = 'study' THEN 'study changed: '
            ELSE 'input changed: '
        END
        || coalesce(e.input_asset_key, l.input_asset_key) || ' '
        || coalesce(e.input_partition, l.input_partition) AS why
    FROM expected_inputs AS e
    FULL JOIN (SELECT * FROM v_lineage SEMI JOIN expected_inputs USING (asset_key, partition)) AS l
        USING (asset_key, partition, input_asset_key, input_partition)
    WHERE l.input_data_version IS DISTINCT FROM e.input_data_version
),
damaged AS (
    SELECT DISTINCT asset_key, partition, problem AS why
    FROM expected_inputs
    WHERE problem <> ''
)
SELECT * FROM changed
UNION
SELECT * FROM damaged
ORDER BY asset_key, partition, why;
