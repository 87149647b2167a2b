-- Where do arms part from v? Divergence and the best observer of the first 1, 2, 4, ... tokens.
SELECT model, trait, layer, vector_id, n_tokens, round(kl, 3) AS kl_nats,
       round(total_variation, 3) AS total_variation, round(observer_auroc, 3) AS observer_auroc,
       round(bound_for_any_score, 3) AS bound_for_any_score, text_verdict
FROM text_divergences
WHERE environment = 'pooled' AND reference_id <> 'none'
ORDER BY model, trait, layer, vector_id, n_tokens;
