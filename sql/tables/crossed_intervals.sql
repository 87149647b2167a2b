-- Effects with intervals that generalise over both prompts and seeds of v_perp.
CREATE TABLE crossed_intervals (
    model             VARCHAR NOT NULL,
    trait             VARCHAR NOT NULL,
    protocol          VARCHAR NOT NULL,
    scorer            VARCHAR NOT NULL,
    comparison        VARCHAR NOT NULL,   -- efficacy: arm - unsteered; against_base: arm - base at the same alpha
    vector_id         VARCHAR NOT NULL,
    reference_id      VARCHAR NOT NULL,
    family            VARCHAR NOT NULL,
    layer             INTEGER NOT NULL,
    alpha             DOUBLE  NOT NULL,
    n_prompts         INTEGER NOT NULL,
    n_seeds           INTEGER NOT NULL,
    effect            DOUBLE  NOT NULL,
    ci_low            DOUBLE  NOT NULL,
    ci_high           DOUBLE  NOT NULL,
    run_id            VARCHAR NOT NULL,
    code_version      VARCHAR NOT NULL
);
