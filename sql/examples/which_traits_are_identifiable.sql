-- On which layers does v + v_perp behave like v, and on which does it not?
SELECT model, trait, layer, verdict, efficacy_sd, efficacy_low, efficacy_high, null_fisher, floor_fisher
FROM v_model_trait_summary
ORDER BY trait, layer;
