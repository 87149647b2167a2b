-- Every vector used, its norm and its energy share in each null space.
CREATE TABLE steering_vectors (
    model                  VARCHAR NOT NULL,
    trait                  VARCHAR NOT NULL,
    vector_id              VARCHAR NOT NULL,
    family                 VARCHAR NOT NULL,
    null_space             VARCHAR NOT NULL,   -- kind that *_null and *_range refer to; '' for other families
    layer                  INTEGER NOT NULL,   -- -1 for the family none
    seed                   INTEGER NOT NULL,
    norm                   DOUBLE  NOT NULL,   -- in units of the residual stream
    cosine_to_base         DOUBLE  NOT NULL,
    null_energy_covariance DOUBLE,             -- share of the vector's energy, 0 to 1; null: too few neutral prompts
    null_energy_jacobian   DOUBLE  NOT NULL,
    null_energy_fisher     DOUBLE  NOT NULL,
    sha256                 VARCHAR NOT NULL,
    path                   VARCHAR NOT NULL,
    run_id                 VARCHAR NOT NULL,
    code_version           VARCHAR NOT NULL
);
