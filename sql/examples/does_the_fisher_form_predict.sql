-- Up to which dose does half e'Ge predict the measured KL? Averages over prompts, per family and dose.
SELECT s.family, d.layer, d.alpha, avg(d.kl) AS measured_kl, avg(d.predicted_kl) AS predicted_kl,
       ln(avg(d.predicted_kl) / avg(d.kl)) AS log_ratio
FROM logit_distances AS d
JOIN steering_vectors AS s USING (model, trait, vector_id)
WHERE d.reference_id = 'none' AND d.kl > 0 AND d.predicted_kl > 0
GROUP BY ALL
ORDER BY d.layer, s.family, d.alpha;
