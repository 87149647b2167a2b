-- How much of v is needed? The part of v along the gradient of the trait score has, to first order, its whole effect.
CREATE VIEW v_trait_gradient AS
SELECT
    model, trait, scorer, layer, "at", vector_id, family, null_space, n_texts,
    round(cosine, 3) AS cosine,
    round(random_cosine, 3) AS random_cosine,
    slope_low > 0 OR slope_high < 0 AS moves_the_score,
    round(cosine * cosine, 4) AS share_of_energy_needed,
    round(first_order_effect, 4) AS first_order_effect,
    round(null_energy_text, 3) AS null_energy_text,
    round(null_fraction_text, 3) AS null_fraction_text
FROM trait_gradients
ORDER BY model, trait, scorer, layer, "at", vector_id;
