-- One row per layer of an HDF5 file of residual-stream activations at the last prompt token.
CREATE TABLE activation_caches (
    model        VARCHAR NOT NULL,
    trait        VARCHAR NOT NULL,
    layer        INTEGER NOT NULL,   -- block whose output was read
    site         VARCHAR NOT NULL,   -- block_output
    position     VARCHAR NOT NULL,   -- last_prompt_token
    n_prompts    INTEGER NOT NULL,
    hidden_size  INTEGER NOT NULL,
    dtype        VARCHAR NOT NULL,
    path         VARCHAR NOT NULL,
    bytes        BIGINT  NOT NULL,
    sha256       VARCHAR NOT NULL,   -- of this layer's values
    run_id       VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
