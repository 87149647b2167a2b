-- What is the gain of common random numbers? Noise variance within prompts, paired over independent; 1 is no gain.
SELECT model, trait, layer, vector_id, reference_id, alpha, round(ratio, 3) AS ratio, round(low, 3) AS low, round(high, 3) AS high
FROM sampling_noise
WHERE protocol = 'controlled'
ORDER BY model, trait, layer, ratio;
