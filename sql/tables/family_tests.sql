-- Families of vectors that differ only in seed, against v: a claim on a family is a claim on every seed.
CREATE TABLE family_tests (
    model                  VARCHAR NOT NULL,
    trait                  VARCHAR NOT NULL,
    protocol               VARCHAR NOT NULL,
    scorer                 VARCHAR NOT NULL,
    family                 VARCHAR NOT NULL,   -- a user-supplied vector is a family of one: external.NAME
    null_space             VARCHAR NOT NULL,
    layer                  INTEGER NOT NULL,
    alpha                  DOUBLE  NOT NULL,
    environment            VARCHAR NOT NULL,   -- an environment, or pooled
    margin_kind            VARCHAR NOT NULL,   -- sd: standard deviations of the unsteered texts; efficacy: share of v's own effect
    n_seeds                INTEGER NOT NULL,
    n_texts                INTEGER NOT NULL,   -- of all seeds, of v, and unsteered on the same prompts
    look                   INTEGER NOT NULL,   -- the last look of the study that a seed took part in; 1 where there is one look
    n_inside               INTEGER NOT NULL,   -- seeds whose own unadjusted equivalence test rejects
    share_inside           DOUBLE  NOT NULL,
    share_low              DOUBLE  NOT NULL,   -- Clopper-Pearson over seeds
    share_high             DOUBLE  NOT NULL,
    rms_effect             DOUBLE,             -- root mean square over seeds, minus sampling noise, in standard deviations; null: no prompts in common
    rms_upper              DOUBLE,             -- its upper bound, bootstrap over prompts; null: no prompts in common
    p_equivalence          DOUBLE  NOT NULL,   -- the largest of the seeds (intersection-union); sequential over looks
    p_difference           DOUBLE  NOT NULL,   -- the smallest of the seeds, Holm-adjusted over them; sequential over looks
    p_equivalence_adjusted DOUBLE  NOT NULL,   -- in the gatekeeping order of the block
    p_difference_adjusted  DOUBLE  NOT NULL,
    power                  DOUBLE  NOT NULL,   -- to show all seeds equivalent at the adjusted level, under no difference: of the fixed test with these prompts, without looks
    n_prompts_needed       INTEGER NOT NULL,   -- for 80 % of that power, without looks; 2147483647: no number is enough
    verdict                VARCHAR NOT NULL,   -- equivalent, different, inconclusive, untestable
    reason                 VARCHAR NOT NULL,
    run_id                 VARCHAR NOT NULL,
    code_version           VARCHAR NOT NULL
);
