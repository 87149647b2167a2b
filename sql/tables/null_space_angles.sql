-- Does a null space persist? Each null space against another environment's (prompt distribution), and against the null
-- spaces of other kinds at the same layer. Angles are between the leading subspaces: null spaces of more than half of all
-- dimensions intersect for any model, and their non-zero angles are those of their complements.
CREATE TABLE null_space_angles (
    model            VARCHAR NOT NULL,
    trait            VARCHAR NOT NULL,
    layer            INTEGER NOT NULL,
    compared         VARCHAR NOT NULL,   -- environments, kinds
    kind             VARCHAR NOT NULL,   -- of the null space: covariance, jacobian, fisher
    environment      VARCHAR NOT NULL,   -- that it was fitted on
    other_kind       VARCHAR NOT NULL,   -- of what it is compared with
    other_environment VARCHAR NOT NULL,
    rank             INTEGER NOT NULL,   -- of the leading subspaces, by the study's estimator for the kind
    other_rank       INTEGER NOT NULL,
    ambient_dim      INTEGER NOT NULL,
    null_energy      DOUBLE  NOT NULL,   -- of the other in the null space, relative to a random subspace: below 1 it holds
    own_null_energy  DOUBLE,             -- the same for held-out prompts of its own: it cannot hold better; null: too few
    overlap          DOUBLE  NOT NULL,   -- mean squared cosine of the principal angles
    expected_overlap DOUBLE  NOT NULL,   -- of random subspaces of these ranks
    smallest_angle   DOUBLE  NOT NULL,   -- radians
    median_angle     DOUBLE  NOT NULL,
    largest_angle    DOUBLE  NOT NULL,
    run_id           VARCHAR NOT NULL,
    code_version     VARCHAR NOT NULL
);
