-- Steered texts, without their prompts.
CREATE TABLE generations (
    model         VARCHAR NOT NULL,
    trait         VARCHAR NOT NULL,
    generation_id VARCHAR NOT NULL,
    protocol      VARCHAR NOT NULL,   -- controlled, reference
    vector_id     VARCHAR NOT NULL,
    alpha         DOUBLE  NOT NULL,
    environment   VARCHAR NOT NULL,
    prompt_id     VARCHAR NOT NULL,
    sample        INTEGER NOT NULL,
    seed          BIGINT  NOT NULL,   -- of the noise stream of this prompt and sample
    prompt        VARCHAR NOT NULL,
    text          VARCHAR NOT NULL,
    n_tokens      INTEGER NOT NULL,
    finish_reason VARCHAR NOT NULL,   -- stop, length
    run_id        VARCHAR NOT NULL,
    code_version  VARCHAR NOT NULL
);
