-- Effect of each vector as a share of v's own; only where v's effect is significant.
SELECT model, trait, scorer, layer, alpha, vector_id, n_prompts, round(ratio, 2) AS share_of_v, round(low, 2) AS low, round(high, 2) AS high
FROM efficacy_ratios
WHERE protocol = 'controlled'
ORDER BY model, trait, scorer, layer, alpha, share_of_v DESC;
