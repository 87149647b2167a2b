-- From the newest report back to prompts, model, settings and code.
WITH RECURSIVE verdict AS (
    SELECT max_by(partition, created_at) AS partition FROM v_lineage WHERE asset_key = 'equivalence_reports'
),
-- All possible inputs: artifacts of its model and trait, of its model, of its trait.
near AS MATERIALIZED (
    SELECT l.asset_key, l.partition, l.input_asset_key, l.input_partition, l.input_data_version
    FROM v_lineage AS l
    JOIN (SELECT unnest([partition] || string_split(partition, '|')) AS partition FROM verdict) USING (partition)
),
chain AS (
    SELECT 0 AS depth, n.* FROM near AS n JOIN verdict USING (partition) WHERE asset_key = 'equivalence_reports'
    UNION
    SELECT c.depth + 1, n.*
    FROM chain AS c
    JOIN near AS n ON n.asset_key = c.input_asset_key AND n.partition = c.input_partition
    WHERE c.depth < 12
)
SELECT asset_key, partition, input_asset_key, input_partition, left(input_data_version, 12) AS version, min(depth) AS depth
FROM chain
GROUP BY ALL
ORDER BY depth, asset_key, input_asset_key, input_partition;
