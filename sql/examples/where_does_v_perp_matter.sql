-- v + v_perp against v at each layer and dose, with the power of the comparison and the number of prompts needed.
SELECT trait, layer, alpha, vector_id, cohens_d, verdict_sd, round(power_sd, 2) AS power, n_prompts_needed_sd
FROM v_effects
WHERE comparison = 'against_base' AND family = 'base_plus_orthogonal' AND verdict_sd <> 'descriptive'
ORDER BY trait, layer, alpha, vector_id;
