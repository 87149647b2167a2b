-- `scorer_validation` of scorers that prompt the language model itself, and therefore depend on the model.
CREATE TABLE judge_validation (
    model        VARCHAR NOT NULL,
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
