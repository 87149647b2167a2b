-- One row per model snapshot: what was loaded, from where, and its content hash.
CREATE TABLE models (
    model            VARCHAR NOT NULL,
    source           VARCHAR NOT NULL,   -- hub id, folder, or package/file
    revision         VARCHAR NOT NULL,   -- pinned revision; '' where the source has none
    sha256           VARCHAR NOT NULL,   -- of configuration and weights
    tokenizer_sha256 VARCHAR NOT NULL,
    architecture     VARCHAR NOT NULL,
    n_layers         INTEGER NOT NULL,
    hidden_size      INTEGER NOT NULL,
    vocab_size       INTEGER NOT NULL,
    n_parameters     BIGINT  NOT NULL,
    dtype            VARCHAR NOT NULL,   -- of the stored weights
    path             VARCHAR NOT NULL,   -- relative to the data folder
    run_id           VARCHAR NOT NULL,
    code_version     VARCHAR NOT NULL
);
