-- One row per model, trait and layer: does v + v_perp behave like v, how strong is v, how large are the null spaces?
CREATE VIEW v_model_trait_summary AS
SELECT
    model, trait, protocol, scorer, layer, verdict,
    round(efficacy, 3) AS efficacy_sd,
    round(efficacy_low, 3) AS efficacy_low,
    round(efficacy_high, 3) AS efficacy_high,
    round(null_fraction_covariance, 3) AS null_covariance,
    round(sampling_floor_covariance, 3) AS floor_covariance,
    round(null_fraction_fisher, 3) AS null_fisher,
    round(sampling_floor_fisher, 3) AS floor_fisher,
    n_equivalent, n_different, n_inconclusive, n_untestable,
    report_path
FROM identifiability_summary
ORDER BY model, trait, protocol, scorer, layer;
