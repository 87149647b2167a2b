-- What followed from each look of a study with several: which families of seeds stop, by the study's first scorer.
-- No rows where there is one look, or no scorer. Pooled over environments, by the margin in standard deviations.
CREATE TABLE look_decisions (
    model                  VARCHAR NOT NULL,
    trait                  VARCHAR NOT NULL,
    scorer                 VARCHAR NOT NULL,
    family                 VARCHAR NOT NULL,   -- compared with v; a user-supplied vector is a family of one: external.NAME
    null_space             VARCHAR NOT NULL,
    layer                  INTEGER NOT NULL,
    alpha                  DOUBLE  NOT NULL,
    reference_id           VARCHAR NOT NULL,
    look                   INTEGER NOT NULL,   -- from 1
    fraction               DOUBLE  NOT NULL,   -- of the study's prompts, of all looks so far
    n_seeds                INTEGER NOT NULL,
    n_prompts              INTEGER NOT NULL,   -- so far
    n_texts                INTEGER NOT NULL,   -- so far, of all seeds, of v, and unsteered on the same prompts
    estimate               DOUBLE  NOT NULL,   -- difference from v of the seed farthest from it, in standard deviations of one unsteered text's score
    p_equivalence          DOUBLE  NOT NULL,   -- sequential; the largest of the seeds
    p_difference           DOUBLE  NOT NULL,   -- sequential; the smallest of the seeds, Holm-adjusted over them
    p_equivalence_adjusted DOUBLE  NOT NULL,   -- within the family's gate of hypotheses
    p_difference_adjusted  DOUBLE  NOT NULL,
    power_equivalence      DOUBLE  NOT NULL,   -- conditional power, given that v acts: probability that the last look shows it, on the present trend
    power_difference       DOUBLE  NOT NULL,
    decision               VARCHAR NOT NULL,   -- equivalent, different, hopeless (both powers under 0.1): no more texts; open
    run_id                 VARCHAR NOT NULL,
    code_version           VARCHAR NOT NULL
);
