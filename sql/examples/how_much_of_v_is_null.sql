-- How much of v lies in each null space, against what a random vector would have there (the null fraction itself)?
SELECT s.model, s.trait, s.layer, round(s.null_energy_covariance, 3) AS of_v_covariance, round(n.null_covariance, 3) AS of_any_covariance,
       round(s.null_energy_fisher, 3) AS of_v_fisher, round(n.null_fisher, 3) AS of_any_fisher
FROM steering_vectors AS s
JOIN v_null_space AS n
  ON (n.model, n.trait, n.layer) = (s.model, s.trait, s.layer) AND n.estimator = 'variance_99'
WHERE s.family = 'base'
ORDER BY s.model, s.trait, s.layer;
