-- Divergence of whole texts from those of v along steps around v: half e'Ge beside the measured KL.
CREATE TABLE text_predictions (
    model             VARCHAR NOT NULL,
    trait             VARCHAR NOT NULL,
    layer             INTEGER NOT NULL,
    vector_id         VARCHAR NOT NULL,   -- the step is from v to this vector at v's dose, times the multiple
    family            VARCHAR NOT NULL,
    null_space        VARCHAR NOT NULL,
    alpha             DOUBLE  NOT NULL,
    multiple          DOUBLE  NOT NULL,
    step_norm         DOUBLE  NOT NULL,   -- |e|, in units of the residual stream
    n_texts           INTEGER NOT NULL,   -- of v, read under the moved arm
    kl                DOUBLE,             -- KL(v || v moved by e) of a whole text, nats; null: infinite by top_p
    kl_low            DOUBLE,             -- null: infinite
    kl_high           DOUBLE,             -- null: infinite
    predicted_kl      DOUBLE  NOT NULL,   -- half e'Ge, G of the texts of text_spectra, nats
    predicted_kl_low  DOUBLE  NOT NULL,
    predicted_kl_high DOUBLE  NOT NULL,
    run_id            VARCHAR NOT NULL,
    code_version      VARCHAR NOT NULL
);
