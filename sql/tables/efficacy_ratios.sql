-- Effect of each vector over unsteered as a share of v's own; only where v's effect is significant, which bounds the ratio.
CREATE TABLE efficacy_ratios (
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
    ratio             DOUBLE  NOT NULL,
    low               DOUBLE  NOT NULL,
    high              DOUBLE  NOT NULL,
    run_id            VARCHAR NOT NULL,
    code_version      VARCHAR NOT NULL
);
