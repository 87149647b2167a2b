-- Fluency of each text; two broken texts have equal scores on any trait.
CREATE TABLE fluency (
    model         VARCHAR NOT NULL,
    trait         VARCHAR NOT NULL,
    generation_id VARCHAR NOT NULL,
    n_words       INTEGER NOT NULL,
    distinct_1    DOUBLE  NOT NULL,   -- distinct words / words
    distinct_2    DOUBLE  NOT NULL,
    distinct_3    DOUBLE  NOT NULL,
    repetition    DOUBLE  NOT NULL,   -- 1 - distinct-2 distinct-3 distinct-4
    perplexity    DOUBLE  NOT NULL,   -- of the text after its prompt, under the unsteered model
    run_id        VARCHAR NOT NULL,
    code_version  VARCHAR NOT NULL
);
