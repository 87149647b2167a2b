-- Gradient g of the expected score by the steering vector, along every vector. To first order a direction at
-- right angles to g does not change the score.
CREATE TABLE trait_gradients (
    model              VARCHAR NOT NULL,
    trait              VARCHAR NOT NULL,
    layer              INTEGER NOT NULL,
    "at"               VARCHAR NOT NULL,   -- steered, unsteered
    scorer             VARCHAR NOT NULL,
    vector_id          VARCHAR NOT NULL,
    family             VARCHAR NOT NULL,
    null_space         VARCHAR NOT NULL,
    n_texts            INTEGER NOT NULL,
    n_prompts          INTEGER NOT NULL,
    slope              DOUBLE  NOT NULL,   -- g along the vector's direction, score per unit of the residual stream
    slope_low          DOUBLE  NOT NULL,
    slope_high         DOUBLE  NOT NULL,
    gradient_norm      DOUBLE,             -- |g| without the noise of its sample; null: the noise hides it
    cosine             DOUBLE,             -- of the vector with g; null: the noise hides |g|
    random_cosine      DOUBLE  NOT NULL,   -- the study's confidence of random directions lie within plus and minus this
    first_order_effect DOUBLE  NOT NULL,   -- dose x vector along g: the effect if the score were linear, in its unit
    null_energy_text   DOUBLE  NOT NULL,   -- share of the vector in the null space of the form of whole texts
    null_fraction_text DOUBLE  NOT NULL,   -- the share that a random vector has in it
    run_id             VARCHAR NOT NULL,
    code_version       VARCHAR NOT NULL
);
