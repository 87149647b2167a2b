-- Rank and null fraction by every estimator, with the floor that the sample size gives any model.
CREATE TABLE null_spaces (
    model               VARCHAR NOT NULL,
    trait               VARCHAR NOT NULL,
    layer               INTEGER NOT NULL,
    kind                VARCHAR NOT NULL,   -- covariance, jacobian, fisher, text
    environment         VARCHAR NOT NULL,   -- pooled: all neutral prompts
    "at"                VARCHAR NOT NULL,   -- unsteered, steered
    estimator           VARCHAR NOT NULL,
    threshold           DOUBLE  NOT NULL,   -- the estimator's parameter
    value               DOUBLE  NOT NULL,   -- effective rank before rounding up
    ambient_dim         INTEGER NOT NULL,
    rank                INTEGER NOT NULL,
    null_dim            INTEGER NOT NULL,
    null_fraction       DOUBLE  NOT NULL,
    sampling_floor      DOUBLE,             -- null fraction that this number of prompts gives any model; null: no bound is known
    heldout_null_energy DOUBLE,             -- 1: as much energy of new prompts as in a random subspace; null: too few prompts
    n_samples           INTEGER NOT NULL,   -- prompts, also for all tokens; texts for the kind text
    run_id              VARCHAR NOT NULL,
    code_version        VARCHAR NOT NULL
);
