-- Which scorers disagree: on the order of texts, and on the effects of v on single prompts? Least agreement first.
SELECT model, trait, protocol, scorer_a, scorer_b, what, n_prompts,
       round(spearman, 2) AS spearman, round(low, 2) AS low, round(high, 2) AS high, round(kappa, 2) AS kappa
FROM scorer_agreement
ORDER BY spearman, model, trait, protocol, scorer_a, scorer_b, what;
