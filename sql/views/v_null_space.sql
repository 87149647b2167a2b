-- Covariance, Jacobian and Fisher null fractions, all for neutral prompts, each with the floor that the number of
-- prompts force on any model (NULL: no bound is known), the energy that held-out prompts have in it (1: no better than a
-- random subspace), and the growth of its rank over the last doubling of prompts (0: settled, 1: counts prompts).
CREATE VIEW v_null_space AS
SELECT
    n.model, n.trait, n.layer, n.estimator,
    max(n.null_fraction) FILTER (n.kind = 'covariance') AS null_covariance,
    max(n.sampling_floor) FILTER (n.kind = 'covariance') AS floor_covariance,
    max(n.heldout_null_energy) FILTER (n.kind = 'covariance') AS heldout_covariance,
    max(s.growth_per_doubling) FILTER (n.kind = 'covariance') AS growth_covariance,
    max(n.null_fraction) FILTER (n.kind = 'jacobian') AS null_jacobian,
    max(n.sampling_floor) FILTER (n.kind = 'jacobian') AS floor_jacobian,
    max(n.heldout_null_energy) FILTER (n.kind = 'jacobian') AS heldout_jacobian,
    max(s.growth_per_doubling) FILTER (n.kind = 'jacobian') AS growth_jacobian,
    max(n.null_fraction) FILTER (n.kind = 'fisher') AS null_fisher,
    max(n.sampling_floor) FILTER (n.kind = 'fisher') AS floor_fisher,
    max(n.heldout_null_energy) FILTER (n.kind = 'fisher') AS heldout_fisher,
    max(s.growth_per_doubling) FILTER (n.kind = 'fisher') AS growth_fisher
FROM null_spaces AS n
LEFT JOIN v_saturation AS s
    ON (s.model, s.trait, s.layer, s.kind, s.estimator) = (n.model, n.trait, n.layer, n.kind, n.estimator)
WHERE n.environment = 'pooled'
  AND n."at" = 'unsteered'
  AND n.estimator NOT IN ('marchenko_pastur', 'gavish_donoho') -- defined for covariance only
GROUP BY n.model, n.trait, n.layer, n.estimator
ORDER BY n.model, n.trait, n.layer, n.estimator;
