-- Growth of each rank over the last doubling of prompts: 0: settled; 1: proportional to the number of prompts, as for noise.
CREATE VIEW v_saturation AS
WITH steps AS (
    SELECT *,
           lag(value) OVER w AS value_before,
           lag(n_prompts) OVER w AS n_before,
           row_number() OVER (PARTITION BY model, trait, layer, kind, estimator ORDER BY n_prompts DESC) AS from_last
    FROM effective_dimension
    WINDOW w AS (PARTITION BY model, trait, layer, kind, estimator ORDER BY n_prompts)
)
SELECT model, trait, layer, kind, estimator, n_before, n_prompts, value_before, value, null_fraction, sampling_floor,
       CASE WHEN value > 0 AND value_before > 0
            THEN pow(2, log2(value / value_before) / log2(n_prompts / n_before)) - 1 END AS growth_per_doubling
FROM steps
WHERE from_last = 1 AND n_before IS NOT NULL
ORDER BY model, trait, layer, kind, estimator;
