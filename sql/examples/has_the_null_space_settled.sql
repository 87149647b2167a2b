-- Growth of the effective dimension over the last doubling of prompts (0: settled, 1: proportional to the prompts).
SELECT trait, layer, kind, n_before, n_prompts, round(value_before, 1) AS rank_before, round(value, 1) AS rank,
       round(growth_per_doubling, 2) AS growth_per_doubling, round(sampling_floor, 2) AS sampling_floor
FROM v_saturation
WHERE estimator = 'variance_99'
ORDER BY trait, layer, kind;
