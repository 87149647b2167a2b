-- Up to which share of |h| does half e'Ge predict the measured KL, and where does it fail to?
SELECT trait, layer, reference_id, step_at_most, n_arms, round(median_abs_log_ratio, 3) AS median_abs_log_ratio,
       round(median_log_ratio, 3) AS median_log_ratio, holds
FROM v_kl_prediction
ORDER BY trait, layer, reference_id, step_at_most;
