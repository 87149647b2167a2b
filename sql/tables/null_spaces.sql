-- Rank and null fraction by every estimator, never without the floor that the sample size alone gives.
CREATE TABLE null_spaces (
    model               VARCHAR NOT NULL,
    trait               VARCHAR NOT NULL,
    layer               INTEGER NOT NULL,
    kind                VARCHAR NOT NULL,   -- covariance, jacobian, fisher
    environment         VARCHAR NOT NULL,   -- pooled: all neutral prompts
    "at"                VARCHAR NOT NULL,   -- unsteered, steered
    estimator           VARCHAR NOT NULL,
    threshold           DOUBLE  NOT NULL,   -- the estimator's parameter
    value               DOUBLE  NOT NULL,   -- effective rank before rounding up
    ambient_dim         INTEGER NOT NULL,
    rank                INTEGER NOT NULL,
    null_dim            INTEGER NOT NULL,
    null_fraction       DOUBLE  NOT NULL,
    sampling_floor      DOUBLE,             -- null fraction that so few prompts give any model; null: no bound is known
    heldout_null_energy DOUBLE,             -- 1: it holds as much of a new prompt as a random one; null: too few prompts
    n_samples           INTEGER NOT NULL,   -- prompts, of all tokens as well
    run_id              VARCHAR NOT NULL,
    code_version        VARCHAR NOT NULL
);
