-- Spectrum of the Fisher form of whole texts, E[s s']: change of the text's log-probability per unit step.
CREATE TABLE text_spectra (
    model          VARCHAR NOT NULL,
    trait          VARCHAR NOT NULL,
    layer          INTEGER NOT NULL,
    "at"           VARCHAR NOT NULL,   -- steered: texts of v at the block's dose; unsteered
    n_texts        INTEGER NOT NULL,
    "index"        INTEGER NOT NULL,   -- 0 is the largest
    singular_value DOUBLE  NOT NULL,   -- square root of the eigenvalue, nats per unit of the residual stream
    noise_edge     DOUBLE  NOT NULL,   -- Marchenko-Pastur edge for this number of texts, in the same unit
    run_id         VARCHAR NOT NULL,
    code_version   VARCHAR NOT NULL
);
