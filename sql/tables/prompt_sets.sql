-- Contrast pairs, neutral test prompts, and the contrast pairs of the control trait.
CREATE TABLE prompt_sets (
    trait        VARCHAR NOT NULL,
    prompt_id    VARCHAR NOT NULL,
    environment  VARCHAR NOT NULL,   -- in_distribution, topic_shift, genre_shift, safety_style
    role         VARCHAR NOT NULL,   -- contrast, test, control
    pair_id      VARCHAR NOT NULL,   -- '' for test prompts
    polarity     VARCHAR NOT NULL,   -- positive, negative, neutral
    text         VARCHAR NOT NULL,
    turns        VARCHAR NOT NULL,   -- JSON list of {role, content}; '' for one user turn, and for raw text
    raw          BOOLEAN NOT NULL,   -- the text already has chat markup; no template is applied
    sha256       VARCHAR NOT NULL,   -- of the text; of text, turns and raw if there are any
    run_id       VARCHAR NOT NULL,
    code_version VARCHAR NOT NULL
);
