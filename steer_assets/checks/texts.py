"""Checks of whole texts: likelihoods as sampled, divergences as the inequalities have them."""

import numpy as np
import polars as pl

from steer_assets.checks.harness import Finding, check
from steer_assets.checks.stability import claimed
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.files.hdf5 import read_array

#: Nats a text, of a model in float32 and in less.
_APART, _APART_IN_HALF = 1e-3, 1.0
_ESTIMATES = ("kl", "kl_reverse", "js", "total_variation", "observer_auroc")


@check("text_divergences", blocking=True)
def texts_are_as_likely_as_when_sampled(stored: StageRun) -> Finding:
    """The probability of each text under its own arm is the one that it was sampled with."""
    read = stored.rows("text_likelihoods").filter("own")
    sampled = stored.rows("generations").select("generation_id", sampled="log_probability")
    both = read.join(sampled, on="generation_id", how="left")
    if both["sampled"].has_nulls():
        return Finding(False, "a text is read that was never sampled")
    apart = (both["log_probability"] - both["sampled"]).abs().to_numpy()
    worst = float(apart.max(initial=0.0))
    half = stored.study.numerics.dtype != "float32"
    words = f"{len(both)} texts, at most {worst:.2g} nats apart"
    return Finding(
        bool(np.all(apart <= (_APART_IN_HALF if half else _APART))), words, {"nats_apart": worst}
    )


@check("text_divergences", blocking=True)
def divergences_keep_their_inequalities(stored: StageRun) -> Finding:
    """Estimates lie in their intervals; Jensen-Shannon below log 2; bounds above their estimates.

    By Pinsker's inequality a certified arm has no total variation above the margin.
    """
    rows = stored.rows("text_divergences")
    for name in _ESTIMATES:
        low, value, high = (pl.col(f"{name}{end}") for end in ("_low", "", "_high"))
        if n := len(rows.filter(~((low <= value) & (value <= high)))):
            return Finding(False, f"{n} estimates of {name} lie outside their intervals")
    if not rows["total_variation"].is_between(0, 1).all():
        return Finding(False, "a total variation is no share")
    if (rows["js"] > np.log(2) + 1e-12).any() or (rows["js"] < 0).any():
        return Finding(False, "a Jensen-Shannon divergence is not between 0 and log 2")
    if (rows["bound_for_any_score"] > rows["total_variation_high"] + 1e-12).any():
        return Finding(False, "a bound lies above the total variation that it is taken from")
    margin = stored.study.text_divergences.margin
    told = pl.col("text_verdict") == "certified"
    if len(rows.filter(told != (pl.col("bound_for_any_score") < margin))):
        return Finding(False, "a verdict does not follow from its bound")
    counts = dict(rows.group_by("text_verdict").len().sort("text_verdict").iter_rows())
    return Finding(True, f"{len(rows)} comparisons: {counts}", {"comparisons": len(rows)})


@check("text_fisher", blocking=True)
def forms_of_texts_are_forms(stored: StageRun) -> Finding:
    """Each spectrum has the energy of its form, and no rank above the number of its texts."""
    rows = stored.rows("text_spectra")
    path = stored.layout.pair_file("bases", stored.model, stored.trait, ".text.h5")
    for (layer, at), own in rows.group_by("layer", "at", maintain_order=True):
        values = own.sort("index")["singular_value"].to_numpy()
        energy, trace = np.square(values).sum(), read_array(path, f"form/text/{at}/{layer}").trace()
        if not np.isclose(energy, trace, rtol=1e-6):
            return Finding(False, f"block {layer} {at}: energy {energy:.6g}, trace {trace:.6g}")
        n = int(own["n_texts"][0])
        if (values[n:] > 1e-6 * values[0]).any():
            return Finding(False, f"block {layer} {at}: rank above its {n} texts")
    spaces = claimed(stored.rows("null_spaces", kind="text"))
    forced = 1 - spaces["n_samples"] / spaces["ambient_dim"]
    if (spaces["null_fraction"] < forced - 1e-9).any():
        return Finding(False, "a null fraction lies below what the number of texts forces")
    return Finding(True, f"{len(rows.select('layer', 'at').unique())} forms of whole texts")


@check("text_fisher")
def short_steps_are_predicted(stored: StageRun) -> Finding:
    """For the shortest steps, prediction and measurement have a value in common.

    Except where the texts that predict also chose the direction.
    """
    rows = stored.rows("text_predictions").filter(pl.col("null_space") != "text").drop_nulls("kl")
    first = rows.filter(pl.col("multiple") == pl.col("multiple").min())
    low = pl.max_horizontal("kl_low", "predicted_kl_low")
    apart = first.filter(low > pl.min_horizontal("kl_high", "predicted_kl_high"))
    if len(apart):
        row = apart.row(0, named=True)
        return Finding(
            False,
            f"{len(apart)} of {len(first)} steps are not as predicted, first {row['vector_id']}: "
            f"{row['kl']:.3g} nats, predicted {row['predicted_kl']:.3g}",
        )
    return Finding(True, f"{len(first)} steps as predicted", {"steps": len(first)})


CHECKS = [
    texts_are_as_likely_as_when_sampled,
    divergences_keep_their_inequalities,
    forms_of_texts_are_forms,
    short_steps_are_predicted,
]
