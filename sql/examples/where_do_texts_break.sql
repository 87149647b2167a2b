-- At which layers and doses do texts lose fluency? Medians under the unsteered model, and those of unsteered texts.
WITH arms AS (
    SELECT g.model, g.trait, g.vector_id, g.alpha, count(*) AS n_texts, median(f.perplexity) AS perplexity,
           avg(f.repetition) AS repetition
    FROM fluency AS f
    JOIN generations AS g USING (model, trait, generation_id)
    WHERE g.protocol = 'controlled'
    GROUP BY g.model, g.trait, g.vector_id, g.alpha
)
SELECT a.model, a.trait, a.vector_id, a.alpha, a.n_texts, round(a.perplexity, 1) AS perplexity,
       round(a.perplexity / u.perplexity, 2) AS times_unsteered, round(a.repetition - u.repetition, 3) AS more_repetition
FROM arms AS a
JOIN arms AS u ON (a.model, a.trait) = (u.model, u.trait) AND u.vector_id = 'none'
ORDER BY times_unsteered DESC, a.model, a.trait, a.vector_id, a.alpha;
