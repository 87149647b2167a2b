-- Rank and null fraction by every estimator, never without the floor that the sample size alone gives.
CREATE TABLE null_spaces (
    model               VARCHAR NOT NULL,
    trait               VARCHAR NOT NULL,
    layer               INTEGER NOT NULL,
    kind                VARCHAR NOT NULL,   -- covariance, jacobian, fisher
    environment         VARCHAR NOT NULL,   -- of the samples; pooled unless said otherwise
    "at"                VARCHAR NOT NULL,   -- unsteered, steered
    estimator           VARCHAR NOT NULL,
    threshold           DOUBLE  NOT NULL,   -- the estimator's parameter
    value               DOUBLE  NOT NULL,   -- effective rank before rounding up
    ambient_dim         INTEGER NOT NULL,
    rank                INTEGER NOT NULL,
    null_dim            INTEGER NOT NULL,
    null_fraction       DOUBLE  NOT NULL,
    sampling_floor      DOUBLE  NOT NULL,   -- null fraction that n samples give any model
    heldout_null_energy DOUBLE,             -- 1: the null space holds as much of a new prompt as a random one; null: too few prompts to hold any out
    n_samples           INTEGER NOT NULL,
    run_id              VARCHAR NOT NULL,
    code_version        VARCHAR NOT NULL
);
