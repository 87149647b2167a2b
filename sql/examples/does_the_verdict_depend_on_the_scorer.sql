-- Does the verdict depend on the scorer?
SELECT model, trait, layer, count(DISTINCT verdict) AS n_verdicts,
       string_agg(scorer || ': ' || verdict, ', ' ORDER BY scorer) AS verdicts
FROM equivalence_reports
WHERE protocol = 'controlled'
GROUP BY model, trait, layer
ORDER BY n_verdicts DESC, model, trait, layer;
