-- Up to which share of |h| does the second-order approximation predict the measured KL? Per arm both are
-- averaged over prompts; the medians are over arms whose step lies above the next smaller bound.
CREATE VIEW v_kl_prediction AS
WITH arms AS (
    SELECT model, trait, layer, reference_id, vector_id, step_norm,
           round(avg(relative_step), 6) AS relative_step, avg(kl) AS kl, avg(predicted_kl) AS predicted_kl
    FROM dose_response
    GROUP BY model, trait, layer, reference_id, vector_id, step_norm
),
graded AS (
    SELECT *,
           list_min(list_filter([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 'inf'::DOUBLE], lambda b: b >= relative_step))
               AS step_at_most,
           CASE WHEN kl >= 1e-10 AND predicted_kl >= 1e-10 THEN ln(predicted_kl / kl) END AS log_ratio
    FROM arms
)
SELECT
    model, trait, layer, reference_id, step_at_most,
    count(log_ratio) AS n_arms,
    count(*) - count(log_ratio) AS n_below_rounding, -- no divergence to compare: under 1e-10 nats
    median(abs(log_ratio)) AS median_abs_log_ratio,
    median(log_ratio) AS median_log_ratio,           -- above 0: less than predicted
    avg((abs(log_ratio) < 0.1)::INTEGER) AS share_within_a_tenth,
    coalesce(median(abs(log_ratio)) < 0.1, true) AS holds
FROM graded
GROUP BY model, trait, layer, reference_id, step_at_most
ORDER BY model, trait, layer, reference_id, step_at_most;
