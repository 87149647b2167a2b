-- The same prompt and sample unsteered, under v, and under v + v_perp, with scores.
WITH scored AS (
    SELECT g.*, round(c.score, 2) AS score
    FROM generations AS g
    LEFT JOIN classifier_scores AS c USING (model, trait, generation_id)
    WHERE g.protocol = 'controlled' AND g.alpha IN (0, 1)
),
steered AS (SELECT scored.*, s.family, s.layer FROM scored JOIN steering_vectors AS s USING (model, trait, vector_id))
SELECT v.model, v.trait, v.layer, v.environment, v.prompt, v.sample,
       u.text AS unsteered, u.score AS unsteered_score, v.text AS v, v.score AS v_score,
       o.text AS v_plus_v_perp, o.score AS v_plus_v_perp_score
FROM steered AS v
JOIN steered AS o ON (o.model, o.trait, o.layer, o.prompt_id, o.sample, o.alpha)
    = (v.model, v.trait, v.layer, v.prompt_id, v.sample, v.alpha) AND o.family = 'base_plus_orthogonal'
JOIN scored AS u ON (u.model, u.trait, u.prompt_id, u.sample) = (v.model, v.trait, v.prompt_id, v.sample)
    AND u.vector_id = 'none'
WHERE v.family = 'base'
ORDER BY v.model, v.trait, v.layer, v.environment, v.prompt_id, v.sample, o.vector_id;
