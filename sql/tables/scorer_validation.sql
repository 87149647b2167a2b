-- AUROC of a scorer for the poles of a trait, on labelled texts of held-out topics.
CREATE TABLE scorer_validation (
    trait        VARCHAR NOT NULL,
    scorer       VARCHAR NOT NULL,
    n_positive   INTEGER NOT NULL,
    n_negative   INTEGER NOT NULL,
    auroc        DOUBLE  NOT NULL,
    auroc_low    DOUBLE  NOT NULL,
    auroc_high   DOUBLE  NOT NULL,
    run_id       VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
