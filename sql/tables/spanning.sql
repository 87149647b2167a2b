-- At which number of orthogonal directions do random vectors in their span stop acting like v?
CREATE TABLE spanning (
    model             VARCHAR NOT NULL,
    trait             VARCHAR NOT NULL,
    protocol          VARCHAR NOT NULL,
    scorer            VARCHAR NOT NULL,
    layer             INTEGER NOT NULL,
    alpha             DOUBLE  NOT NULL,
    sizes             VARCHAR NOT NULL,   -- number of directions, ascending
    verdicts          VARCHAR NOT NULL,   -- against v, in the same order
    holds_to          INTEGER NOT NULL,   -- largest size up to which all are equivalent; 0: none
    broken_from       INTEGER NOT NULL,   -- smallest size that is different; 0: none
    run_id            VARCHAR NOT NULL,
    code_version      VARCHAR NOT NULL
);
