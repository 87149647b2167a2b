-- Every state of the verdicts that a summary has shown: the rows of a report are added when they, or its texts, differ from before.
CREATE TABLE verdict_history (
    model          VARCHAR NOT NULL,
    trait          VARCHAR NOT NULL,
    protocol       VARCHAR NOT NULL,
    scorer         VARCHAR NOT NULL,
    layer          INTEGER NOT NULL,
    verdict        VARCHAR NOT NULL,
    efficacy       DOUBLE,             -- null: could not be measured
    efficacy_low   DOUBLE,             -- null: could not be measured
    efficacy_high  DOUBLE,             -- null: could not be measured
    study          VARCHAR NOT NULL,   -- of the report
    report_version VARCHAR NOT NULL,   -- data version of the report
    recorded_at    TIMESTAMP NOT NULL, -- when the report was made, UTC
    seen_at        TIMESTAMP NOT NULL, -- when changes_since_last first saw it, UTC
    run_id         VARCHAR NOT NULL,
    code_version   VARCHAR NOT NULL
);
