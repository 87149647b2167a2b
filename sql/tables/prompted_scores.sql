-- Scores of prompt and text together, for the switch `prompt_included`; `classifier_scores` has the scores of texts only.
CREATE TABLE prompted_scores (
    model         VARCHAR NOT NULL,
    trait         VARCHAR NOT NULL,
    generation_id VARCHAR NOT NULL,
    scorer        VARCHAR NOT NULL,
    score         DOUBLE  NOT NULL,
    run_id        VARCHAR NOT NULL,
    code_version  VARCHAR NOT NULL
);
