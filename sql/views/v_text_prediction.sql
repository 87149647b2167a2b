-- Inside which step does the quadratic law predict the divergence of whole texts, and up to which step do texts stay
-- within a tenth of a nat by it?
CREATE VIEW v_text_prediction AS
SELECT
    model, trait, layer, vector_id, family, null_space, alpha,
    max(step_norm) FILTER (kl > 0 AND abs(ln(predicted_kl / kl)) < 0.25) AS quadratic_up_to, -- null: at no step measured
    round(median(step_norm * sqrt(0.1 / predicted_kl)), 3) AS predicted_radius,
    round(max(kl), 4) AS largest_kl,
    round(max(predicted_kl), 4) AS largest_predicted_kl,
    count(*) AS n_steps
FROM text_predictions
WHERE predicted_kl > 0
GROUP BY model, trait, layer, vector_id, family, null_space, alpha
ORDER BY model, trait, layer, vector_id;
