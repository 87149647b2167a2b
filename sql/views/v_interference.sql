-- Does another trait's vector change what v does to its trait? Effects in standard deviations of the unsteered texts; interference is that of both vectors minus that of v alone.
CREATE VIEW v_interference AS
SELECT
    pair.model, pair.trait, pair.protocol, pair.scorer,
    substr(pair.vector_id, strpos(pair.vector_id, 'two_traits.') + 11) AS other_trait,
    pair.layer, pair.alpha, pair.n_prompts,
    round(alone.cohens_d, 3) AS effect_alone,
    round(together.cohens_d, 3) AS effect_together,
    round(pair.cohens_d, 3) AS interference,
    round(pair.d_low, 3) AS low,
    round(pair.d_high, 3) AS high,
    pair.verdict_sd AS verdict,
    pair.verdict_efficacy
FROM v_effects AS pair
LEFT JOIN v_effects AS together
    ON together.comparison = 'efficacy' AND together.vector_id = pair.vector_id
    AND (together.model, together.trait, together.protocol, together.scorer, together.alpha)
        = (pair.model, pair.trait, pair.protocol, pair.scorer, pair.alpha)
LEFT JOIN v_effects AS alone
    ON alone.comparison = 'efficacy' AND alone.vector_id = pair.reference_id
    AND (alone.model, alone.trait, alone.protocol, alone.scorer, alone.alpha)
        = (pair.model, pair.trait, pair.protocol, pair.scorer, pair.alpha)
WHERE pair.family = 'two_traits' AND pair.comparison = 'against_base'
ORDER BY pair.model, pair.trait, other_trait, pair.scorer, pair.layer, pair.alpha;
