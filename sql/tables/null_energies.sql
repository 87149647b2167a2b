-- Energy share of each vector in each null space, and that of a random vector: the null space is fitted on
-- neutral prompts, never on those from which v is computed.
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
    share_of_random_below DOUBLE  NOT NULL,   -- share of random vectors with at most this energy: small if the vector avoids the null space
    run_id                VARCHAR NOT NULL,
    code_version          VARCHAR NOT NULL
);
