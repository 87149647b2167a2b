-- Numbers of protocols that need no text: logit distances and sizes of null spaces.
CREATE TABLE protocol_measures (
    model        VARCHAR NOT NULL,
    trait        VARCHAR NOT NULL,
    protocol     VARCHAR NOT NULL,
    layer        INTEGER NOT NULL,
    conclusion   VARCHAR NOT NULL,
    quantity     VARCHAR NOT NULL,
    setting      VARCHAR NOT NULL,   -- as_published, without (one switch off), controlled
    switch       VARCHAR NOT NULL,   -- the one that is off, or empty
    value        DOUBLE,             -- null: could not be measured
    low          DOUBLE,             -- null: could not be measured
    high         DOUBLE,             -- null: could not be measured
    by_itself    DOUBLE,             -- value that the method gives any model; null: no bound is known
    n_prompts    INTEGER NOT NULL,   -- number of prompts of the trait for it
    reason       VARCHAR NOT NULL,   -- why there is no number, or empty
    run_id       VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
