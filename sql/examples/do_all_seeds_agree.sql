-- Is every random v_perp inside the margin? The share of seeds with its interval, and their distance from v regardless of sign.
SELECT model, trait, scorer, layer, alpha, n_seeds, n_inside, round(share_low, 2) AS share_low, round(share_high, 2) AS share_high,
       round(rms_effect, 2) AS rms_sd, round(rms_upper, 2) AS at_most, verdict
FROM family_tests
WHERE family = 'base_plus_orthogonal' AND margin_kind = 'sd' AND environment = 'pooled' AND protocol = 'controlled'
ORDER BY model, trait, scorer, layer, alpha;
