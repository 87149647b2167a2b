-- Longest v_perp, in multiples of |v|, that keeps the next token within 0.01 nats of v: predicted beforehand, and measured.
-- At the largest dose tried (not reached) a radius is a lower bound.
SELECT r.trait, r.layer, r.family, r.null_space,
       round(avg(r.predicted_radius / v.norm), 2) AS predicted_in_v,
       round(avg(r.measured_radius / v.norm), 2) AS measured_in_v,
       bool_and(r.measured_reached) AS reached,
       round(avg(r.quadratic_limit / v.norm), 2) AS law_holds_to
FROM equivalence_radius AS r
JOIN steering_vectors AS v
  ON v.model = r.model AND v.trait = r.trait AND v.vector_id = r.reference_id
WHERE r.tolerance = 0.01
GROUP BY r.trait, r.layer, r.family, r.null_space
ORDER BY r.trait, r.layer, r.null_space, r.family;
