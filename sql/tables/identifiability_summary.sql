-- The verdicts of all partitions, with the covariance and Fisher null spaces.
CREATE TABLE identifiability_summary (
    model                     VARCHAR NOT NULL,
    trait                     VARCHAR NOT NULL,
    protocol                  VARCHAR NOT NULL,
    scorer                    VARCHAR NOT NULL,
    layer                     INTEGER NOT NULL,
    verdict                   VARCHAR NOT NULL,
    efficacy                  DOUBLE,             -- null: could not be measured
    efficacy_low              DOUBLE,             -- null: could not be measured
    efficacy_high             DOUBLE,             -- null: could not be measured
    null_fraction_covariance  DOUBLE,             -- null: too few neutral prompts
    sampling_floor_covariance DOUBLE,             -- null: too few neutral prompts
    null_fraction_fisher      DOUBLE  NOT NULL,
    sampling_floor_fisher     DOUBLE,             -- null: no bound is known for the estimator
    look                      INTEGER,            -- at which the verdict was reached (family_tests); null: no comparison could be made
    n_texts                   INTEGER,            -- that it rests on; null: no comparison could be made
    n_equivalent              INTEGER NOT NULL,
    n_different               INTEGER NOT NULL,
    n_inconclusive            INTEGER NOT NULL,
    n_untestable              INTEGER NOT NULL,
    report_path               VARCHAR NOT NULL,
    run_id                    VARCHAR NOT NULL,
    code_version              VARCHAR NOT NULL
);
