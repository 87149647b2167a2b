-- One sentence for each published conclusion: does it survive, and which switch decides?
CREATE TABLE protocol_findings (
    model        VARCHAR NOT NULL,
    trait        VARCHAR NOT NULL,
    protocol     VARCHAR NOT NULL,
    scorer       VARCHAR NOT NULL,
    layer        INTEGER NOT NULL,
    conclusion   VARCHAR NOT NULL,
    quantity     VARCHAR NOT NULL,
    as_published VARCHAR NOT NULL,   -- holds, fails, undecided, untestable, not measured
    controlled   VARCHAR NOT NULL,
    touched      VARCHAR NOT NULL,   -- switches that change the number or its interpretation
    findings_without VARCHAR NOT NULL, -- findings with each of them off separately, in the same order
    deciding     VARCHAR NOT NULL,   -- switches that change the finding when turned off separately, or empty
    sentence     VARCHAR NOT NULL,
    run_id       VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
