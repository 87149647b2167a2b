-- Steered texts, without their prompts. Log-probabilities (nats) are those of the distribution the tokens were
-- sampled from: the arm's model at the study's temperature, restricted to its top_p and renormalised
-- there; at temperature 0, the arm's model itself.
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
    token_ids     INTEGER[] NOT NULL, -- with the stop token if there is one
    log_probability             DOUBLE  NOT NULL,  -- of all tokens
    least_token_log_probability DOUBLE  NOT NULL,  -- of the least likely one
    least_token                 INTEGER NOT NULL,  -- its place in token_ids, from 0
    look          INTEGER NOT NULL,   -- at which the text was made, from 1: see look_decisions
    run_id        VARCHAR NOT NULL,
    code_version  VARCHAR NOT NULL
);
