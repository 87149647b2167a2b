-- Can the scorers tell the poles apart? A verdict needs the lower end above the study's floor (0.7 unless changed).
SELECT trait, scorer, '' AS model, n_positive, n_negative, round(auroc, 3) AS auroc, round(auroc_low, 3) AS low, round(auroc_high, 3) AS high
FROM scorer_validation
UNION ALL BY NAME
SELECT trait, scorer, model, n_positive, n_negative, round(auroc, 3) AS auroc, round(auroc_low, 3) AS low, round(auroc_high, 3) AS high
FROM judge_validation
ORDER BY trait, low, scorer, model;
