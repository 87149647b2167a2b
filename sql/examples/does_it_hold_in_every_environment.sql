-- Does v + v_perp act like v on every kind of prompt, with every seed? Rows with few prompts have little power.
SELECT model, trait, scorer, layer, environment, n_seeds, n_inside, round(rms_effect, 2) AS rms_sd,
       round(rms_upper, 2) AS at_most, verdict, n_prompts_needed
FROM family_tests
WHERE family = 'base_plus_orthogonal' AND margin_kind = 'sd' AND protocol = 'controlled' AND alpha = 1
ORDER BY model, trait, scorer, layer, environment;
