-- Where v moves the score most for what it does to the next token: blocks at equal divergence, and which were chosen.
SELECT model, trait, layer, alpha, round(iso_multiple, 2) AS of_iso_dose, round(effect, 2) AS effect_sd, round(effect_low, 2) AS at_least,
       round(next_token_kl_p95, 2) AS kl_p95, round(perplexity_ratio, 1) AS perplexity_ratio, fluent, chosen, reason
FROM steering_calibration
ORDER BY model, trait, effect_per_nat DESC, layer, alpha;
