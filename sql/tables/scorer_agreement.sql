-- Agreement of the scorers: rank correlation over texts, and of the effects of v over prompts.
CREATE TABLE scorer_agreement (
    model        VARCHAR NOT NULL,
    trait        VARCHAR NOT NULL,
    protocol     VARCHAR NOT NULL,
    scorer_a     VARCHAR NOT NULL,
    scorer_b     VARCHAR NOT NULL,
    what         VARCHAR NOT NULL,   -- texts; effects of <vector> at <alpha>
    n_prompts    INTEGER NOT NULL,
    spearman     DOUBLE  NOT NULL,
    low          DOUBLE  NOT NULL,   -- over prompts
    high         DOUBLE  NOT NULL,
    kappa        DOUBLE  NOT NULL,   -- on sides of the median (texts) or signs (effects)
    run_id       VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
