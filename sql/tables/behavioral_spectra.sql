-- Spectra of the averaged Jacobian Gram and of the Fisher pullback: change of the output per unit step.
CREATE TABLE behavioral_spectra (
    model          VARCHAR NOT NULL,
    trait          VARCHAR NOT NULL,
    layer          INTEGER NOT NULL,
    kind           VARCHAR NOT NULL,   -- jacobian, fisher
    "at"           VARCHAR NOT NULL,   -- unsteered, steered
    n_prompts      INTEGER NOT NULL,
    "index"        INTEGER NOT NULL,
    singular_value DOUBLE  NOT NULL,   -- square root of the eigenvalue of the form
    run_id         VARCHAR NOT NULL,
    code_version   VARCHAR NOT NULL
);
