-- Length of the longest step along a direction whose mean KL over prompts stays within a tolerance.
CREATE TABLE equivalence_radius (
    model             VARCHAR NOT NULL,
    trait             VARCHAR NOT NULL,
    layer             INTEGER NOT NULL,
    reference_id      VARCHAR NOT NULL,   -- where the step starts: none, or the layer's base vector
    vector_id         VARCHAR NOT NULL,
    family            VARCHAR NOT NULL,
    null_space        VARCHAR NOT NULL,
    n_prompts         INTEGER NOT NULL,
    tolerance         DOUBLE  NOT NULL,   -- nats
    predicted_radius  DOUBLE  NOT NULL,   -- by the Fisher form at the reference; the largest step if not reached
    predicted_reached BOOLEAN NOT NULL,   -- false: no step tried is predicted to exceed the tolerance
    measured_radius   DOUBLE  NOT NULL,
    measured_reached  BOOLEAN NOT NULL,   -- false: the radius is a lower bound
    largest_step      DOUBLE  NOT NULL,
    quadratic_limit   DOUBLE  NOT NULL,   -- longest step up to which prediction and measurement agree within 10 %; 0: none
    run_id            VARCHAR NOT NULL,
    code_version      VARCHAR NOT NULL
);
