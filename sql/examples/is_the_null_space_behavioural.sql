-- Directions in which activations do not vary, against directions in which the output does not change, with their floors.
SELECT model, trait, layer, null_covariance, floor_covariance, null_jacobian, floor_jacobian, null_fisher, floor_fisher,
       heldout_fisher, round(growth_fisher, 2) AS growth_fisher
FROM v_null_space
WHERE estimator = 'variance_99'
ORDER BY trait, layer;
