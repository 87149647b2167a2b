-- One row per layer and environment; the matrices are in the HDF5 file at `path`.
CREATE TABLE covariance_matrices (
    model            VARCHAR NOT NULL,
    trait            VARCHAR NOT NULL,
    layer            INTEGER NOT NULL,
    environment      VARCHAR NOT NULL,   -- pooled (all neutral prompts), contrast, one environment; all_tokens, ...
    n_samples        INTEGER NOT NULL,   -- prompts; for all_tokens, tokens, which are not independent
    trace            DOUBLE  NOT NULL,   -- total variance
    max_eigenvalue   DOUBLE  NOT NULL,
    condition_number DOUBLE  NOT NULL,   -- of the non-zero part: largest over smallest positive eigenvalue
    path             VARCHAR NOT NULL,
    run_id           VARCHAR NOT NULL,
    code_version     VARCHAR NOT NULL
);
