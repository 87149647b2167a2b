-- What share of the energy of v lies in each null space (fitted on neutral prompts), compared with a random vector?
SELECT e.model, e.trait, e.layer, e.kind, e.n_samples AS n_prompts, round(e.energy, 3) AS of_v,
       round(e.random_mean, 3) AS of_random, round(e.random_low, 3) AS random_low, round(e.random_high, 3) AS random_high,
       round(e.share_of_random_below, 4) AS share_of_random_below
FROM null_energies AS e
JOIN steering_vectors AS s ON (s.model, s.trait, s.vector_id) = (e.model, e.trait, e.vector_id)
WHERE s.family = 'base'
ORDER BY e.model, e.trait, e.layer, e.kind;
