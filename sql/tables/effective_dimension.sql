-- Rank by every estimator against the number of prompts used (nested subsets): does it saturate? See v_saturation.
CREATE TABLE effective_dimension (
    model          VARCHAR NOT NULL,
    trait          VARCHAR NOT NULL,
    layer          INTEGER NOT NULL,
    kind           VARCHAR NOT NULL,   -- covariance, jacobian, fisher; pooled prompts, unsteered
    estimator      VARCHAR NOT NULL,
    n_prompts      INTEGER NOT NULL,
    value          DOUBLE  NOT NULL,   -- rank before rounding up
    null_fraction  DOUBLE  NOT NULL,
    sampling_floor DOUBLE,             -- of so many prompts; null: no bound is known
    run_id         VARCHAR NOT NULL,
    code_version   VARCHAR NOT NULL
);
