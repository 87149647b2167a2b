-- Generalisation of a null space: to other prompt distributions (covariance), and between activation variance and
-- behaviour (kinds). The baseline is `own_null_energy`, that of its own held-out prompts.
CREATE VIEW v_null_space_stability AS
SELECT
    model, trait, layer, compared, kind, environment, other_kind, other_environment, rank, other_rank,
    round(null_energy, 4) AS null_energy,
    round(own_null_energy, 4) AS own_null_energy,
    round(overlap, 3) AS overlap,
    round(expected_overlap, 3) AS expected_overlap,
    round(degrees(median_angle), 1) AS median_angle_degrees,
    round(degrees(largest_angle), 1) AS largest_angle_degrees
FROM null_space_angles
ORDER BY model, trait, layer, compared, kind, environment, other_kind, other_environment;
