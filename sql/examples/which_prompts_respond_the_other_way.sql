-- For which comparisons do prompts respond in opposite directions? Needs two texts of each prompt; p values are not adjusted.
SELECT model, trait, scorer, layer, comparison, vector_id, alpha, n_prompts, round(effect, 3) AS effect, round(tau, 3) AS tau,
       round(tau_low, 3) AS tau_low, round(tau_high, 3) AS tau_high, round(p, 4) AS p, round(p_crossover, 4) AS p_crossover,
       round(share_opposite, 2) AS share_opposite
FROM heterogeneity
WHERE protocol = 'controlled'
ORDER BY p_crossover, p, model, trait, layer, vector_id, alpha;
