-- Does a null space carry over to other prompt distributions, and from activation variance to behaviour? Energies are
-- relative to a random subspace; own_null_energy is that of its own held-out prompts.
SELECT trait, layer, compared, kind, environment, other_kind, other_environment, rank,
       null_energy, own_null_energy, overlap, expected_overlap, median_angle_degrees
FROM v_null_space_stability
ORDER BY trait, layer, compared, kind, environment, other_kind, other_environment;
