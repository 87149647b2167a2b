-- Each published conclusion as a number: as published, with each switch off separately, and controlled.
CREATE TABLE protocol_comparison (
    model        VARCHAR NOT NULL,
    trait        VARCHAR NOT NULL,
    protocol     VARCHAR NOT NULL,   -- the one that is compared with controlled
    scorer       VARCHAR NOT NULL,   -- none: the number needs no scorer
    layer        INTEGER NOT NULL,
    conclusion   VARCHAR NOT NULL,
    quantity     VARCHAR NOT NULL,   -- d: standard deviations; shares: of v's effect, of dimensions, of v's KL
    setting      VARCHAR NOT NULL,   -- as_published, without (one switch off), controlled
    switch       VARCHAR NOT NULL,   -- the one that is off, or empty
    value        DOUBLE  NOT NULL,
    low          DOUBLE  NOT NULL,
    high         DOUBLE  NOT NULL,
    by_itself    DOUBLE,             -- value that the method gives under no effect; null: no bound is known
    n_prompts    INTEGER NOT NULL,
    finding      VARCHAR NOT NULL,   -- holds, fails, undecided, untestable
    run_id       VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
