-- Directions in which activations do not vary, against directions in which the output does not move.
SELECT model, trait, layer, null_covariance, floor_covariance, null_jacobian, null_fisher, heldout_fisher
FROM v_null_space
WHERE estimator = 'variance_99'
ORDER BY trait, layer;
