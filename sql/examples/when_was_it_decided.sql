-- At which look each family was decided or given up, and on how many texts.
SELECT model, trait, layer, alpha, family, look, n_prompts, n_texts, round(estimate, 2) AS estimate_sd,
       p_equivalence_adjusted, p_difference_adjusted, decision
FROM look_decisions
QUALIFY row_number() OVER (PARTITION BY model, trait, layer, alpha, family, null_space ORDER BY look DESC) = 1
ORDER BY model, trait, layer, family, alpha;
