-- Gain of common random numbers: noise variance of paired over independent differences within prompts.
CREATE TABLE sampling_noise (
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
    ratio             DOUBLE  NOT NULL,   -- 1: no gain; 0.1: a tenth of the samples gives the same noise
    low               DOUBLE  NOT NULL,
    high              DOUBLE  NOT NULL,
    paired_variance   DOUBLE  NOT NULL,
    independent_variance DOUBLE NOT NULL,
    run_id            VARCHAR NOT NULL,
    code_version      VARCHAR NOT NULL
);
