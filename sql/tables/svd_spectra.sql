-- Spectrum of each activation covariance: standard deviations along its principal axes.
CREATE TABLE svd_spectra (
    model               VARCHAR NOT NULL,
    trait               VARCHAR NOT NULL,
    layer               INTEGER NOT NULL,
    environment         VARCHAR NOT NULL,
    "index"             INTEGER NOT NULL,   -- 0 is the largest
    singular_value      DOUBLE  NOT NULL,
    explained_variance  DOUBLE  NOT NULL,   -- share of the total
    cumulative_variance DOUBLE  NOT NULL,
    noise_edge          DOUBLE,             -- Marchenko-Pastur edge, in the unit of singular_value; null: for all tokens, which are dependent
    run_id              VARCHAR NOT NULL,
    code_version        VARCHAR NOT NULL
);
