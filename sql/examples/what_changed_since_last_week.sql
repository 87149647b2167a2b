-- What was made in the last seven days, did its content change, and which of its inputs changed?
WITH made AS (
    SELECT asset_key, partition, created_at, any_value(data_version) AS data_version, any_value(study) AS study,
           map_from_entries(list(DISTINCT (input_asset_key || ' ' || input_partition, input_data_version))) AS inputs
    FROM artifact_lineage
    GROUP BY asset_key, partition, created_at
),
compared AS (
    SELECT *, lag(data_version) OVER w AS version_before, lag(inputs) OVER w AS inputs_before
    FROM made
    WINDOW w AS (PARTITION BY asset_key, partition ORDER BY created_at)
)
SELECT asset_key, partition, created_at, study,
       CASE WHEN version_before IS NULL THEN 'new' WHEN version_before = data_version THEN 'the same' ELSE 'changed' END AS content,
       CASE WHEN inputs_before IS NULL THEN ''
            ELSE array_to_string(list_sort(list_filter(map_keys(inputs),
                 lambda name: inputs[name] IS DISTINCT FROM inputs_before[name])), ', ') END AS inputs_changed
FROM compared
WHERE created_at >= make_timestamp(epoch_us(now())) - INTERVAL 7 DAY
ORDER BY created_at DESC, asset_key, partition;
