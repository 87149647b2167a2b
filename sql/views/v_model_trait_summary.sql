-- One row per model, trait and layer: does v + v_perp behave like v, how strong is v, how large are the null spaces?
-- text_verdict is about whole texts of v and v + v_perp at the headline dose, all seeds: certified (no score of a text
-- can differ by the margin, for any seed), distinguishable (some score does, for a seed), open.
CREATE VIEW v_model_trait_summary AS
WITH whole AS (
    SELECT *, max(n_tokens) OVER (PARTITION BY model, trait) AS longest
    FROM text_divergences
    WHERE environment = 'pooled' AND family = 'base_plus_orthogonal' AND reference_id <> 'none'
),
texts AS (
    SELECT
        model, trait, layer,
        CASE
            WHEN bool_or(text_verdict = 'distinguishable') THEN 'distinguishable'
            WHEN bool_and(text_verdict = 'certified') THEN 'certified'
            ELSE 'open'
        END AS text_verdict,
        round(max(observer_auroc), 3) AS observer_auroc
    FROM whole
    WHERE n_tokens = longest
    GROUP BY model, trait, layer
)
SELECT
    model, trait, protocol, scorer, layer, verdict, text_verdict,
    round(efficacy, 3) AS efficacy_sd,
    round(efficacy_low, 3) AS efficacy_low,
    round(efficacy_high, 3) AS efficacy_high,
    observer_auroc,             -- the largest of the seeds; null: no whole texts are compared
    round(null_fraction_covariance, 3) AS null_covariance,
    round(sampling_floor_covariance, 3) AS floor_covariance,
    round(null_fraction_fisher, 3) AS null_fisher,
    round(sampling_floor_fisher, 3) AS floor_fisher,
    n_equivalent, n_different, n_inconclusive, n_untestable,
    report_path
FROM identifiability_summary
LEFT JOIN texts USING (model, trait, layer)
ORDER BY model, trait, protocol, scorer, layer;
