-- Does the finding hold for other random v_perp? Intervals over prompts and seeds together, and over prompts only.
SELECT c.model, c.trait, c.scorer, c.layer, c.comparison, c.family, c.alpha, c.n_prompts, c.n_seeds,
       round(c.effect, 3) AS effect, round(c.ci_low, 3) AS low, round(c.ci_high, 3) AS high,
       round(t.ci_low, 3) AS low_prompts_only, round(t.ci_high, 3) AS high_prompts_only
FROM crossed_intervals AS c
LEFT JOIN equivalence_tests AS t
  ON t.environment = 'pooled' AND t.margin_kind = 'sd'
 AND (t.model, t.trait, t.protocol, t.scorer, t.comparison, t.vector_id, t.alpha)
   = (c.model, c.trait, c.protocol, c.scorer, c.comparison, c.vector_id, c.alpha)
WHERE c.protocol = 'controlled'
ORDER BY c.model, c.trait, c.scorer, c.layer, c.comparison, c.family, c.alpha;
