-- Every pooled comparison with both margins in one row: effect and interval, also in standard deviations of the unsteered texts, and the verdicts.
CREATE VIEW v_effects AS
SELECT
    model, trait, protocol, scorer, comparison, vector_id, reference_id, family, layer, alpha,
    any_value(n_prompts) AS n_prompts,
    any_value(effect) AS effect,
    any_value(ci_low) AS ci_low,
    any_value(ci_high) AS ci_high,
    any_value(cohens_d) AS cohens_d,
    any_value(d_low) AS d_low,
    any_value(d_high) AS d_high,
    any_value(hedges_g) AS hedges_g,
    max(verdict) FILTER (margin_kind = 'sd') AS verdict_sd,
    max(verdict) FILTER (margin_kind = 'efficacy') AS verdict_efficacy,
    max(power) FILTER (margin_kind = 'sd') AS power_sd,
    max(n_prompts_needed) FILTER (margin_kind = 'sd') AS n_prompts_needed_sd
FROM equivalence_tests
WHERE environment = 'pooled'
GROUP BY model, trait, protocol, scorer, comparison, vector_id, reference_id, family, layer, alpha
ORDER BY model, trait, protocol, scorer, comparison, layer, family, vector_id, alpha;
