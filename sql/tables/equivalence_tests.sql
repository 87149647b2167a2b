-- Paired comparisons of arms at the level of prompts.
CREATE TABLE equivalence_tests (
    model                  VARCHAR NOT NULL,
    trait                  VARCHAR NOT NULL,
    protocol               VARCHAR NOT NULL,
    scorer                 VARCHAR NOT NULL,
    comparison             VARCHAR NOT NULL,   -- efficacy: arm - unsteered; against_base: arm - base at the same alpha
    vector_id              VARCHAR NOT NULL,
    reference_id           VARCHAR NOT NULL,
    family                 VARCHAR NOT NULL,
    null_space             VARCHAR NOT NULL,   -- joins family_tests with family, layer, alpha and environment
    layer                  INTEGER NOT NULL,   -- for arms that steer several blocks, the middle one
    alpha                  DOUBLE  NOT NULL,
    environment            VARCHAR NOT NULL,   -- an environment, or pooled
    margin_kind            VARCHAR NOT NULL,   -- sd: standard deviations of the unsteered texts; efficacy: share of v's own effect
    n_prompts              INTEGER NOT NULL,
    n_pairs                INTEGER NOT NULL,   -- prompts x samples
    n_texts                INTEGER NOT NULL,   -- of both sides
    look                   INTEGER NOT NULL,   -- the last look of the study that both sides have texts from; 1 where there is one look
    effect                 DOUBLE  NOT NULL,   -- mean paired difference, in units of the score
    unit_sd                DOUBLE  NOT NULL,   -- standard deviation of one unsteered text's score, the unit of d
    cohens_d               DOUBLE  NOT NULL,   -- effect / unit_sd
    hedges_g               DOUBLE  NOT NULL,
    ci_low                 DOUBLE  NOT NULL,   -- of a fixed sample: not adjusted for looks
    ci_high                DOUBLE  NOT NULL,
    d_low                  DOUBLE  NOT NULL,   -- ci_low / unit_sd
    d_high                 DOUBLE  NOT NULL,
    margin                 DOUBLE  NOT NULL,   -- in units of the score
    p_difference           DOUBLE  NOT NULL,   -- sequential over the looks so far; with one look, of the fixed test
    p_equivalence          DOUBLE  NOT NULL,   -- two one-sided tests; sequential as well
    p_difference_adjusted  DOUBLE  NOT NULL,   -- in gatekeeping order: headline, its seeds, doses, environments, other families
    p_equivalence_adjusted DOUBLE  NOT NULL,   -- against v, that of the family: the claim holds for all seeds or for none
    power                  DOUBLE  NOT NULL,   -- of that claim at its adjusted level, under no difference: of the fixed test with these prompts, without looks
    n_prompts_needed       INTEGER NOT NULL,   -- for 80 % of that power, without looks; 2147483647: no number is enough
    verdict                VARCHAR NOT NULL,   -- equivalent, different, inconclusive, untestable; descriptive: the signed mean over seeds
    reason                 VARCHAR NOT NULL,
    run_id                 VARCHAR NOT NULL,
    code_version           VARCHAR NOT NULL
);
