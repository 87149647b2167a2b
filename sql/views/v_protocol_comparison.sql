-- The verdict on v + v_perp under each protocol that was run, side by side; NULL where a protocol was not run.
CREATE VIEW v_protocol_comparison AS
SELECT
    model, trait, scorer, layer,
    max(verdict) FILTER (protocol = 'controlled') AS verdict_controlled,
    max(efficacy) FILTER (protocol = 'controlled') AS efficacy_controlled,
    max(verdict) FILTER (protocol = 'reference') AS verdict_reference,
    max(efficacy) FILTER (protocol = 'reference') AS efficacy_reference
FROM equivalence_reports
GROUP BY model, trait, scorer, layer
ORDER BY model, trait, scorer, layer;
