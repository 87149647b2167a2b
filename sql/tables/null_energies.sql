-- How much of each vector lies in each null space, beside what a random vector has there: the null space is fitted on
-- neutral prompts, never on those that v is made of.
CREATE TABLE null_energies (
    model                 VARCHAR NOT NULL,
    trait                 VARCHAR NOT NULL,
    vector_id             VARCHAR NOT NULL,
    layer                 INTEGER NOT NULL,
    kind                  VARCHAR NOT NULL,   -- covariance, jacobian, fisher
    estimator             VARCHAR NOT NULL,   -- the study's for the kind
    n_samples             INTEGER NOT NULL,   -- neutral prompts that it is fitted on
    ambient_dim           INTEGER NOT NULL,
    null_dim              INTEGER NOT NULL,
    energy                DOUBLE  NOT NULL,   -- share of the vector's energy, 0 to 1
    random_mean           DOUBLE  NOT NULL,   -- of an isotropic random vector: null_dim / ambient_dim
    random_low            DOUBLE  NOT NULL,   -- quantiles of its law, Beta(null_dim/2, (ambient_dim - null_dim)/2)
    random_high           DOUBLE  NOT NULL,
    share_of_random_below DOUBLE  NOT NULL,   -- random vectors with no more energy there: small where the vector avoids it
    run_id                VARCHAR NOT NULL,
    code_version          VARCHAR NOT NULL
);
