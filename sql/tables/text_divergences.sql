-- How different the whole texts of two arms are, from the exact probability of each text under both. Arms
-- share their noise, and a prompt's texts of both enter its value together; intervals are over prompts.
CREATE TABLE text_divergences (
    model                VARCHAR NOT NULL,
    trait                VARCHAR NOT NULL,
    layer                INTEGER NOT NULL,
    vector_id            VARCHAR NOT NULL,
    family               VARCHAR NOT NULL,
    null_space           VARCHAR NOT NULL,
    reference_id         VARCHAR NOT NULL,   -- none, or the layer's base vector at the same dose
    alpha                DOUBLE  NOT NULL,
    environment          VARCHAR NOT NULL,   -- an environment, or pooled
    n_tokens             INTEGER NOT NULL,   -- of the beginning of each text; the longest is the whole text
    n_prompts            INTEGER NOT NULL,
    n_texts              INTEGER NOT NULL,   -- of each arm
    kl                   DOUBLE,             -- KL(reference || arm), nats; null: infinite, a token outside the arm's top_p
    kl_low               DOUBLE,             -- null: infinite
    kl_high              DOUBLE,             -- null: infinite
    kl_reverse           DOUBLE,             -- KL(arm || reference), nats; null: infinite
    kl_reverse_low       DOUBLE,             -- null: infinite
    kl_reverse_high      DOUBLE,             -- null: infinite
    js                   DOUBLE  NOT NULL,   -- Jensen-Shannon, nats, at most log 2
    js_low               DOUBLE  NOT NULL,
    js_high              DOUBLE  NOT NULL,
    total_variation      DOUBLE  NOT NULL,   -- 0 to 1
    total_variation_low  DOUBLE  NOT NULL,
    total_variation_high DOUBLE  NOT NULL,
    observer_auroc       DOUBLE  NOT NULL,   -- of the likelihood ratio, which no observer of one prompt and text surpasses
    observer_auroc_low   DOUBLE  NOT NULL,
    observer_auroc_high  DOUBLE  NOT NULL,
    bound_for_any_score  DOUBLE  NOT NULL,   -- upper end of the difference in mean of any score, as a share of its range
    text_verdict         VARCHAR NOT NULL,   -- certified, distinguishable, open
    run_id               VARCHAR NOT NULL,
    code_version         VARCHAR NOT NULL
);
