-- Do v and another vector affect the same prompts? Correlation over prompts, and the largest that noise allows.
CREATE TABLE effect_correlations (
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
    correlation       DOUBLE  NOT NULL,
    low               DOUBLE  NOT NULL,
    high              DOUBLE  NOT NULL,
    ceiling           DOUBLE  NOT NULL,   -- of two arms with the same true effects
    reliability       DOUBLE  NOT NULL,   -- of the effects of this vector
    reliability_of_v  DOUBLE  NOT NULL,
    run_id            VARCHAR NOT NULL,
    code_version      VARCHAR NOT NULL
);
