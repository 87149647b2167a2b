-- Which test prompts the working point was chosen on, and which ones verdicts are given on: none is both.
CREATE TABLE calibration_prompts (
    model        VARCHAR NOT NULL,
    trait        VARCHAR NOT NULL,
    prompt_id    VARCHAR NOT NULL,
    environment  VARCHAR NOT NULL,
    split        VARCHAR NOT NULL,   -- calibration, verdict
    continued    BOOLEAN NOT NULL,   -- texts were made of it in its split
    run_id       VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
