-- Bootstrap band of the pooled covariance's spectrum over prompts (both prompts of a pair are drawn together). Valid for
-- leading values; trailing ones are biased low when dimensions are comparable with samples.
CREATE TABLE spectrum_bands (
    model          VARCHAR NOT NULL,
    trait          VARCHAR NOT NULL,
    layer          INTEGER NOT NULL,
    environment    VARCHAR NOT NULL,
    "index"        INTEGER NOT NULL,   -- 0 is the largest
    singular_value DOUBLE  NOT NULL,
    low            DOUBLE  NOT NULL,
    high           DOUBLE  NOT NULL,
    level          DOUBLE  NOT NULL,
    n_boot         INTEGER NOT NULL,
    run_id         VARCHAR NOT NULL,
    code_version   VARCHAR NOT NULL
);
