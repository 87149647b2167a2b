-- Exact probability of each sampled text under its own arm and under those that its arm is compared with.
CREATE TABLE text_likelihoods (
    model           VARCHAR NOT NULL,
    trait           VARCHAR NOT NULL,
    generation_id   VARCHAR NOT NULL,   -- the text; joins generations
    layer           INTEGER NOT NULL,   -- block whose arms are compared
    vector_id       VARCHAR NOT NULL,   -- the arm that it is read under
    alpha           DOUBLE  NOT NULL,
    own             BOOLEAN NOT NULL,   -- whether the text was sampled from this arm
    log_probability DOUBLE,             -- of all tokens as they are sampled, nats; null: impossible outside this arm's top_p
    token_kl        DOUBLE,             -- sum over tokens of KL(own arm || this arm) of the next token, nats; null: infinite by top_p
    run_id          VARCHAR NOT NULL,
    code_version    VARCHAR NOT NULL
);
