-- Do two traits interfere? Another trait's vector beside v: equivalent means that v does to its own trait what it does alone.
SELECT model, trait, other_trait, scorer, layer, alpha, effect_alone, effect_together, interference, low, high, verdict
FROM v_interference
ORDER BY model, trait, other_trait, scorer, layer, alpha;
