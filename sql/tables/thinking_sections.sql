-- The section of thinking of each text of a reasoning model, and the answer after it. No rows for other models.
CREATE TABLE thinking_sections (
    model             VARCHAR NOT NULL,
    trait             VARCHAR NOT NULL,
    generation_id     VARCHAR NOT NULL,
    section           VARCHAR NOT NULL,   -- closed, open (never closes), none
    n_thinking_tokens INTEGER NOT NULL,   -- of the section, with its markup
    thinking          VARCHAR NOT NULL,   -- without markup; '' where there is no section
    answer            VARCHAR,            -- what follows the section; null: there is no answer, see reason
    reason            VARCHAR NOT NULL,   -- why there is no answer, else ''
    run_id            VARCHAR NOT NULL,
    code_version      VARCHAR NOT NULL
);
