-- Each trait across models: the layer at which v is strongest, its verdict and its null fraction, for each scorer.
SELECT trait, model, scorer, layer, verdict, efficacy_sd, efficacy_low, efficacy_high, null_fisher, floor_fisher
FROM v_model_trait_summary
WHERE protocol = 'controlled'
QUALIFY row_number() OVER (PARTITION BY trait, model, scorer ORDER BY abs(efficacy_sd) DESC, layer) = 1
ORDER BY trait, scorer, model;
