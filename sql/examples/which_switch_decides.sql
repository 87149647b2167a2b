-- Which switch of the published procedure changes a conclusion when it is turned off separately?
SELECT model, trait, scorer, layer, conclusion, quantity, switch, finding_as_published, finding_without, finding_controlled,
       round(as_published, 2) AS as_published, round("without", 2) AS without_switch, round(controlled, 2) AS controlled
FROM v_protocol_comparison
WHERE decides
ORDER BY model, trait, scorer, layer, conclusion, quantity, switch;
