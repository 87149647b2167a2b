-- Rank by every estimator by the number of prompts used (nested subsets). See v_saturation.
CREATE TABLE effective_dimension (
    model          VARCHAR NOT NULL,
    trait          VARCHAR NOT NULL,
    layer          INTEGER NOT NULL,
    kind           VARCHAR NOT NULL,   -- covariance, jacobian, fisher: pooled prompts, unsteered; text: texts of v, counted as n_prompts
    estimator      VARCHAR NOT NULL,
    n_prompts      INTEGER NOT NULL,
    value          DOUBLE  NOT NULL,   -- rank before rounding up
    null_fraction  DOUBLE  NOT NULL,
    sampling_floor DOUBLE,             -- for this number of prompts; null: no bound is known
    run_id         VARCHAR NOT NULL,
    code_version   VARCHAR NOT NULL
);
