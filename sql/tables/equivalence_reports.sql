-- One row per protocol, scorer and layer: does v + v_perp act like v there, and how reliable is the evidence?
CREATE TABLE equivalence_reports (
    model                 VARCHAR NOT NULL,
    trait                 VARCHAR NOT NULL,
    protocol              VARCHAR NOT NULL,
    scorer                VARCHAR NOT NULL,
    layer                 INTEGER NOT NULL,
    efficacy              DOUBLE,             -- of v over unsteered, in standard deviations of one unsteered text's score; null: could not be measured
    efficacy_low          DOUBLE,             -- null: could not be measured
    efficacy_high         DOUBLE,             -- null: could not be measured
    verdict               VARCHAR NOT NULL,   -- of v + v_perp against v, all seeds (family_tests)
    reason                VARCHAR NOT NULL,
    null_fraction_fisher  DOUBLE  NOT NULL,
    sampling_floor_fisher DOUBLE,             -- null: no bound is known for the estimator
    look                  INTEGER,            -- at which the verdict was reached (family_tests); null: no comparison could be made
    n_texts               INTEGER,            -- that it rests on; null: no comparison could be made
    n_equivalent          INTEGER NOT NULL,
    n_different           INTEGER NOT NULL,
    n_inconclusive        INTEGER NOT NULL,
    n_untestable          INTEGER NOT NULL,
    report_path           VARCHAR NOT NULL,
    run_id                VARCHAR NOT NULL,
    code_version          VARCHAR NOT NULL
);
