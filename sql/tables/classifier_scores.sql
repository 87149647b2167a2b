-- Trait score of every generated text; larger is closer to the positive pole.
CREATE TABLE classifier_scores (
    model         VARCHAR NOT NULL,
    trait         VARCHAR NOT NULL,
    generation_id VARCHAR NOT NULL,
    scorer        VARCHAR NOT NULL,
    score         DOUBLE  NOT NULL,
    run_id        VARCHAR NOT NULL,
    code_version  VARCHAR NOT NULL
);
