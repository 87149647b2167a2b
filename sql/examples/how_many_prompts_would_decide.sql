-- Which comparisons are undecided, and how many prompts would show all seeds equivalent with 80 % power under no difference?
SELECT model, trait, scorer, layer, alpha, family, null_space, n_seeds, n_inside, n_prompts_needed,
       round(power, 2) AS power, round(rms_effect, 2) AS rms_sd
FROM family_tests
WHERE margin_kind = 'sd' AND environment = 'pooled' AND protocol = 'controlled' AND verdict = 'inconclusive'
ORDER BY n_prompts_needed, model, trait, layer, alpha, family, null_space;
