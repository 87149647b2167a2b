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
    self_test_causal DOUBLE  NOT NULL,   -- change of earlier logits by later tokens, share of the largest
    self_test_batch  DOUBLE  NOT NULL,   -- change of a row's block outputs by other rows of its batch
    self_test_hook   DOUBLE  NOT NULL,   -- steering at first, middle and last block against its expected result
    self_test_prefix DOUBLE  NOT NULL,   -- logits and text likelihoods over cached prefixes against plain ones
    self_test_tokens INTEGER NOT NULL,   -- of the longest row tried, beyond the smallest attention window
    finite_dtypes    VARCHAR NOT NULL,   -- number types whose block outputs and logits were all finite
    path             VARCHAR NOT NULL,   -- relative to the data folder
    run_id           VARCHAR NOT NULL,
    code_version     VARCHAR NOT NULL
);
