-- How long may v_perp be, in multiples of |v|, before one token and before a whole text notice, by kind of null space?
CREATE VIEW v_equivalence_radius AS
WITH tokens AS (
    SELECT
        model, trait, layer, family, null_space, 'next token' AS observer, tolerance,
        avg(measured_radius) AS measured,
        avg(predicted_radius) AS predicted,
        bool_and(measured_reached) AS reached,  -- false: the measured radius is a lower bound
        max(largest_step) AS largest
    FROM equivalence_radius
    WHERE reference_id <> 'none'
    GROUP BY model, trait, layer, family, null_space, tolerance
),
texts AS (
    SELECT
        model, trait, layer,
        CASE family WHEN 'base_plus_orthogonal' THEN 'orthogonal' ELSE family END AS family,
        null_space, 'whole text' AS observer, tolerance,
        -- by the square law from the step whose divergence is nearest to the tolerance
        arg_min(step_norm * sqrt(tolerance / kl), abs(ln(kl / tolerance))) AS measured,
        median(step_norm * sqrt(tolerance / predicted_kl)) AS predicted,
        bool_or(kl > tolerance) AS reached,
        max(step_norm) AS largest
    FROM text_predictions, (SELECT DISTINCT tolerance FROM equivalence_radius)
    WHERE kl > 0 AND predicted_kl > 0 AND family <> 'external'
    GROUP BY model, trait, layer, 4, null_space, tolerance
)
SELECT
    model, trait, layer,
    CASE family WHEN 'base_plus_null' THEN 'null' WHEN 'base_plus_range' THEN 'range' ELSE 'random' END AS direction,
    null_space, observer, tolerance,  -- nats: of one token, or of a whole text
    round(measured / norm, 3) AS measured_radius,
    round(predicted / norm, 3) AS predicted_radius,
    reached,
    round(largest / norm, 3) AS largest_step
FROM (FROM tokens UNION ALL BY NAME FROM texts)
JOIN (SELECT model, trait, layer, norm FROM steering_vectors WHERE family = 'base') USING (model, trait, layer)
ORDER BY model, trait, layer, direction, null_space, observer, tolerance;
