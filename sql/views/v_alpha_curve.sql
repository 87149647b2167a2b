-- Effect over unsteered against the dose, for every vector that generated texts.
CREATE VIEW v_alpha_curve AS
SELECT model, trait, protocol, scorer, layer, family, vector_id, alpha, cohens_d, d_low, d_high, hedges_g, effect, ci_low, ci_high, n_prompts
FROM v_effects
WHERE comparison = 'efficacy'
ORDER BY model, trait, protocol, scorer, layer, vector_id, alpha;
