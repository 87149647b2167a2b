-- Divergence of the next token by step length and prompt: from the unsteered model along every
-- vector in shares of |h|, and from v along null, range and random directions v + c v_perp, in multiples of |v|.
CREATE TABLE dose_response (
    model         VARCHAR NOT NULL,
    trait         VARCHAR NOT NULL,
    layer         INTEGER NOT NULL,
    reference_id  VARCHAR NOT NULL,   -- where steps start: none, or the layer's base vector
    vector_id     VARCHAR NOT NULL,   -- direction of the steps; around v, the part it adds to v (orthogonal: itself)
    family        VARCHAR NOT NULL,
    null_space    VARCHAR NOT NULL,
    step_norm     DOUBLE  NOT NULL,   -- |e|, units of the residual stream
    dose          DOUBLE  NOT NULL,   -- |e| / |v|
    relative_step DOUBLE  NOT NULL,   -- |e| / |h|, h of the prompt, unsteered
    environment   VARCHAR NOT NULL,
    prompt_id     VARCHAR NOT NULL,
    kl            DOUBLE  NOT NULL,   -- KL(reference || arm), nats
    predicted_kl  DOUBLE  NOT NULL,   -- half e'Ge, G the prompt's own Fisher form at the reference, nats
    run_id        VARCHAR NOT NULL,
    code_version  VARCHAR NOT NULL
);
