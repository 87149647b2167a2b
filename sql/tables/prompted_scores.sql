-- Scores of prompt and text together, as `prompt_included` asks; `classifier_scores` is of texts alone.
CREATE TABLE prompted_scores (
    model         VARCHAR NOT NULL,
    trait         VARCHAR NOT NULL,
    generation_id VARCHAR NOT NULL,
    scorer        VARCHAR NOT NULL,
    score         DOUBLE  NOT NULL,
    run_id        VARCHAR NOT NULL,
    code_version  VARCHAR NOT NULL
);
