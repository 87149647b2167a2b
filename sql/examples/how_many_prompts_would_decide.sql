-- What stayed open, and how many prompts would show equivalence with 80 % power if there were no difference?
SELECT model, trait, scorer, layer, alpha, vector_id, n_prompts, n_prompts_needed, round(power, 2) AS power,
       round(hedges_g, 2) AS difference_sd
FROM equivalence_tests
WHERE comparison = 'against_base' AND margin_kind = 'sd' AND environment = 'pooled' AND protocol = 'controlled'
  AND verdict = 'inconclusive'
ORDER BY n_prompts_needed, model, trait, layer, alpha, vector_id;
