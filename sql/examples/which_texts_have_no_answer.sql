-- How many texts of a reasoning model have no answer, by arm? They have no score; other models have no rows here.
SELECT
    model, trait, vector_id, alpha,
    count(*) AS texts,
    count(*) FILTER (section = 'open') AS never_closes,
    count(*) FILTER (answer IS NULL) AS without_answer,
    round(avg(n_thinking_tokens)) AS mean_thinking_tokens,
FROM thinking_sections
JOIN generations USING (model, trait, generation_id)
WHERE protocol = 'controlled'
GROUP BY ALL
ORDER BY without_answer / texts DESC, model, trait, vector_id, alpha;
