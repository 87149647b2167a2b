-- Distance between next-token distributions of an arm and of a reference arm, prompt by prompt.
CREATE TABLE logit_distances (
    model          VARCHAR NOT NULL,
    trait          VARCHAR NOT NULL,
    vector_id      VARCHAR NOT NULL,
    reference_id   VARCHAR NOT NULL,   -- none, or the layer's base vector
    layer          INTEGER NOT NULL,
    alpha          DOUBLE  NOT NULL,
    environment    VARCHAR NOT NULL,
    prompt_id      VARCHAR NOT NULL,
    l2             DOUBLE  NOT NULL,   -- of the logits
    kl             DOUBLE  NOT NULL,   -- KL(reference || arm), nats
    js             DOUBLE  NOT NULL,   -- nats
    top1_agreement DOUBLE  NOT NULL,   -- 0 or 1
    top10_overlap  DOUBLE  NOT NULL,   -- share
    predicted_kl   DOUBLE  NOT NULL,   -- half e'Ge, G the prompt's own Fisher form at the reference, nats
    displacement   DOUBLE  NOT NULL,   -- length of the step from the reference, in units of |v|
    displacement_floor DOUBLE,         -- l2 expected from this length: that of random vectors per unit length; null: without them
    run_id         VARCHAR NOT NULL,
    code_version   VARCHAR NOT NULL
);
