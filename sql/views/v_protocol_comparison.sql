-- Which published conclusions survive: the number as published, controlled, and with each switch off separately, one row
-- per switch that touches it; NULL where a study has no texts for it. `decides` marks switches that change it.
CREATE VIEW v_protocol_comparison AS
WITH numbers AS (SELECT * FROM protocol_comparison),
findings AS (
    SELECT
        * EXCLUDE (touched, findings_without),
        unnest(string_split(touched, ', ')) AS switch,
        unnest(string_split(findings_without, ', ')) AS finding_without
    FROM protocol_findings
)
SELECT
    f.model, f.trait, f.protocol, f.scorer, f.layer, f.conclusion, f.quantity,
    f.as_published AS finding_as_published,
    p.value AS as_published, p.low AS as_published_low, p.high AS as_published_high,
    p.by_itself AS by_itself,
    f.controlled AS finding_controlled,
    c.value AS controlled, c.low AS controlled_low, c.high AS controlled_high,
    f.switch,
    f.finding_without,
    w.value AS without, w.low AS without_low, w.high AS without_high,
    list_contains(string_split(f.deciding, ', '), f.switch) AS decides,
    f.sentence
FROM findings AS f
LEFT JOIN numbers AS p
    ON p.setting = 'as_published'
    AND (f.model, f.trait, f.protocol, f.scorer, f.layer, f.conclusion, f.quantity)
        = (p.model, p.trait, p.protocol, p.scorer, p.layer, p.conclusion, p.quantity)
LEFT JOIN numbers AS c
    ON c.setting = 'controlled'
    AND (f.model, f.trait, f.protocol, f.scorer, f.layer, f.conclusion, f.quantity)
        = (c.model, c.trait, c.protocol, c.scorer, c.layer, c.conclusion, c.quantity)
LEFT JOIN numbers AS w
    ON w.setting = 'without'
    AND w.switch = f.switch
    AND (f.model, f.trait, f.protocol, f.scorer, f.layer, f.conclusion, f.quantity)
        = (w.model, w.trait, w.protocol, w.scorer, w.layer, w.conclusion, w.quantity)
ORDER BY ALL;
