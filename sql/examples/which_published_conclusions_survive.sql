-- Which published conclusions survive, and which switch decides?
SELECT model, trait, scorer, layer, conclusion, as_published, controlled, deciding, sentence
FROM protocol_findings
WHERE protocol = 'reference'
ORDER BY model, trait, conclusion, quantity, scorer, layer;
