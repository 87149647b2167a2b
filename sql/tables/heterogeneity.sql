-- Heterogeneity: spread of the true effect over prompts, beyond sampling noise.
CREATE TABLE heterogeneity (
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
    effect            DOUBLE  NOT NULL,
    tau               DOUBLE  NOT NULL,   -- standard deviation of the true effect over prompts
    tau_low           DOUBLE  NOT NULL,
    tau_high          DOUBLE  NOT NULL,
    share_of_variance DOUBLE  NOT NULL,   -- of the observed variance between prompts
    p                 DOUBLE  NOT NULL,   -- is there any such spread?
    p_crossover       DOUBLE  NOT NULL,   -- do effects of both signs exist?
    share_opposite    DOUBLE  NOT NULL,   -- prompts whose effect has the other sign, if normal
    run_id            VARCHAR NOT NULL,
    code_version      VARCHAR NOT NULL
);
