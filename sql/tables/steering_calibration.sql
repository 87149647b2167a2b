-- The working point: blocks x doses of v, on test prompts that no verdict reads. At the dose of every block where the
-- 95th percentile over prompts of the next token's KL is the study's target, blocks are compared at equal divergence.
CREATE TABLE steering_calibration (
    model             VARCHAR NOT NULL,
    trait             VARCHAR NOT NULL,
    layer             INTEGER NOT NULL,
    alpha             DOUBLE  NOT NULL,   -- v is added alpha times, at its own length
    iso_multiple      DOUBLE  NOT NULL,   -- alpha as a multiple of the block's dose at the target
    step_norm         DOUBLE  NOT NULL,   -- alpha |v|, units of the residual stream
    effect            DOUBLE,             -- mean over prompts of score minus unsteered score, in unit_sd; null: no texts
    effect_low        DOUBLE,             -- lower end of the one-sided interval, shared by all blocks; null: no texts
    effect_per_nat    DOUBLE,             -- effect / next_token_kl_p95; null: no texts
    unit_sd           DOUBLE,             -- standard deviation of the unsteered texts' scores; null: no texts
    next_token_kl_p95 DOUBLE  NOT NULL,   -- 95th percentile over prompts of KL(unsteered || steered), nats
    next_token_kl     DOUBLE  NOT NULL,   -- mean over prompts
    target_kl         DOUBLE  NOT NULL,   -- nats, of next_token_kl_p95 where iso_multiple is 1
    perplexity_ratio  DOUBLE,             -- median over prompts, to the unsteered text's; null: no texts
    repetition        DOUBLE,             -- mean over prompts, above the unsteered text's; null: no texts
    fluent            BOOLEAN NOT NULL,   -- both within the limits of the study
    steerable         BOOLEAN NOT NULL,   -- effect_low > 0
    chosen            VARCHAR NOT NULL,   -- chosen, fallback (none is steerable; the best), given (by hand), or no
    rank              INTEGER NOT NULL,   -- among the chosen blocks, from 1; 0 for what is not chosen
    scorer            VARCHAR NOT NULL,   -- '' where there are no texts
    split             VARCHAR NOT NULL,   -- of the prompts: calibration (see calibration_prompts)
    n_prompts         INTEGER NOT NULL,   -- of the next-token columns
    n_texts           INTEGER NOT NULL,   -- prompts of the columns of texts
    reason            VARCHAR NOT NULL,   -- why the target is not met, or why nothing better was chosen; '' otherwise
    run_id            VARCHAR NOT NULL,
    code_version      VARCHAR NOT NULL
);
