-- Covariance, Jacobian and Fisher null fractions side by side, each with the floor that its samples alone would give
-- and the energy that held-out prompts have in it (1: no better than a random subspace).
CREATE VIEW v_null_space AS
SELECT
    model, trait, layer, estimator,
    max(null_fraction) FILTER (kind = 'covariance') AS null_covariance,
    max(sampling_floor) FILTER (kind = 'covariance') AS floor_covariance,
    max(heldout_null_energy) FILTER (kind = 'covariance') AS heldout_covariance,
    max(null_fraction) FILTER (kind = 'jacobian') AS null_jacobian,
    max(sampling_floor) FILTER (kind = 'jacobian') AS floor_jacobian,
    max(heldout_null_energy) FILTER (kind = 'jacobian') AS heldout_jacobian,
    max(null_fraction) FILTER (kind = 'fisher') AS null_fisher,
    max(sampling_floor) FILTER (kind = 'fisher') AS floor_fisher,
    max(heldout_null_energy) FILTER (kind = 'fisher') AS heldout_fisher
FROM null_spaces
WHERE environment = 'pooled'
  AND "at" = 'unsteered'
  AND estimator NOT IN ('marchenko_pastur', 'gavish_donoho') -- defined for covariance only
GROUP BY model, trait, layer, estimator
ORDER BY model, trait, layer, estimator;
