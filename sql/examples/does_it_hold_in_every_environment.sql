-- Does v + v_perp act like v on every kind of prompt? With few prompts a row by itself decides little.
SELECT model, trait, scorer, layer, environment, n_prompts, round(hedges_g, 2) AS difference_sd, verdict, n_prompts_needed
FROM equivalence_tests
WHERE comparison = 'against_base' AND family = 'base_plus_orthogonal' AND margin_kind = 'sd' AND protocol = 'controlled'
  AND alpha = 1
ORDER BY model, trait, scorer, layer, vector_id, environment;
