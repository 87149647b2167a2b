-- Do v and another vector affect the same prompts? The ceiling is the largest correlation that sampling noise allows.
SELECT model, trait, layer, vector_id, alpha, round(correlation, 2) AS correlation, round(low, 2) AS low,
       round(high, 2) AS high, round(ceiling, 2) AS ceiling
FROM effect_correlations
WHERE protocol = 'controlled'
ORDER BY model, trait, layer, vector_id;
