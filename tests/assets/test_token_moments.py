"""Moments of all tokens against plain NumPy over the same tiny model."""

from dataclasses import replace

import numpy as np
import polars as pl

from steer_assets.assets.geometry._token_moments import ALL_TOKENS, KEPT_PER_PROMPT, read_halves
from steer_assets.geometry.null_spaces.floors import part_floors
from steer_assets.lm.measurements.capture import capture
from steer_assets.storage.files.hdf5 import read_array
from tests.assets.conftest import HIDDEN, LAYER, MODEL, TRAIT, Tiny, neutral


def test_all_token_moments_are_those_of_all_tokens(tiny: Tiny) -> None:
    tokens = np.concatenate(neutral(tiny))
    path = tiny.layout.pair_file("moments", MODEL, TRAIT, ".h5")
    stored = read_array(path, f"covariance/{LAYER}/{ALL_TOKENS}")
    expected = np.cov(tokens, rowvar=False)
    assert np.abs(stored - expected).max() <= 1e-6 * np.abs(expected).max()
    row = tiny.rows("covariance_matrices").filter(
        pl.col("environment") == ALL_TOKENS, pl.col("layer") == LAYER
    )
    assert row.item(0, "n_samples") == len(tokens)
    cached = tiny.rows("activation_caches").filter(pl.col("position") == "all_prompt_tokens")
    assert cached["n_prompts"].to_list() == [len(neutral(tiny)) + 24] * 2  # and contrast prompts


def test_environments_have_moments_of_all_their_tokens(tiny: Tiny) -> None:
    prompts = tiny.run("svd_spectra").rows("prompt_sets")
    path = tiny.layout.pair_file("moments", MODEL, TRAIT, ".h5")
    table = tiny.rows("covariance_matrices").filter(pl.col("layer") == LAYER)
    counts = dict(table.select("environment", "n_samples").iter_rows())
    for environment in ("contrast", "in_distribution", "safety_style"):
        contrast = environment == "contrast"
        own = prompts.filter(pl.col("role") == "contrast").head(24) if contrast else prompts.filter(
            pl.col("role") == "test", pl.col("environment") == environment
        )  # fmt: skip
        ids = tiny.models.lm.encode(own["text"].to_list())
        tokens = np.concatenate(
            [
                tokens[2:]
                for batch in capture(tiny.models.lm, ids, [LAYER], positions="all")
                for tokens in batch[LAYER]
            ]
        ).astype(np.float64)
        expected = np.cov(tokens, rowvar=False)
        stored = read_array(path, f"covariance/{LAYER}/{ALL_TOKENS}.{environment}")
        assert np.abs(stored - expected).max() <= 1e-6 * np.abs(expected).max()
        assert counts[f"{ALL_TOKENS}.{environment}"] == len(tokens) > counts[environment]
    parts = {name: n for name, n in counts.items() if name.startswith(f"{ALL_TOKENS}.")}
    assert sum(parts.values()) - parts[f"{ALL_TOKENS}.contrast"] == counts[ALL_TOKENS]


def test_the_halves_share_no_prompt_and_keep_few_tokens(tiny: Tiny) -> None:
    halves = list(read_halves(tiny.run("svd_spectra"), LAYER))
    assert len(halves) == 2
    prompts = neutral(tiny)
    n = sum(len(tokens) for tokens in prompts)
    assert sum(moments.n for moments, _ in halves) == n
    assert sum(len(kept) for _, kept in halves) <= KEPT_PER_PROMPT * len(prompts)
    assert min(moments.n for moments, _ in halves) > 0.3 * n


def test_last_tokens_are_what_capturing_them_alone_gives(tiny: Tiny) -> None:
    path = tiny.layout.pair_file("activations", MODEL, TRAIT, ".h5")
    ids = [name.decode() for name in read_array(path, "prompt_ids")]
    prompts = tiny.rows("prompt_sets")
    texts = dict(prompts.select("prompt_id", "text").iter_rows())
    encoded = tiny.models.lm.encode([texts[name] for name in ids])
    alone = np.empty((len(ids), HIDDEN), np.float32)
    for batch in capture(tiny.models.lm, encoded, [LAYER]):
        alone[batch.prompt_indices] = batch[LAYER]
    assert np.array_equal(read_array(path, f"last/{LAYER}"), alone)


def test_all_tokens_are_counted_by_prompts_and_stand_on_what_those_force(tiny: Tiny) -> None:
    spaces = tiny.rows("null_spaces", kind="covariance").filter(pl.col("environment") == ALL_TOKENS)
    assert set(spaces["layer"]) == {1, LAYER}
    assert spaces["heldout_null_energy"].is_between(0, 3).all()
    prompts = neutral(tiny)
    assert set(spaces["n_samples"]) == {len(prompts)}
    # A prompt's scatter about the overall mean, with the component that all of its tokens share.
    mean = np.concatenate(prompts).mean(axis=0)
    spread = [np.sqrt(len(t)) * (t.mean(axis=0) - mean) for t in prompts]
    parts = [np.linalg.eigvalsh(np.cov(t, rowvar=False) * (len(t) - 1)) for t in prompts]
    parts.append(np.linalg.svd(np.array(spread), compute_uv=False) ** 2)
    floors = part_floors([np.maximum(part, 0.0) for part in parts], HIDDEN)
    for row in spaces.filter(layer=LAYER).iter_rows(named=True):
        assert row["sampling_floor"] == floors[row["estimator"]], row["estimator"]
    # Tokens of a prompt are no independent samples: no edge of white noise can be stated.
    assert not set(spaces["estimator"]) & {"marchenko_pastur", "gavish_donoho"}
    spectra = tiny.rows("svd_spectra").filter(pl.col("environment") == ALL_TOKENS)
    assert len(spectra) == 2 * HIDDEN
    assert spectra["noise_edge"].null_count() == len(spectra)


def test_the_pooled_covariance_is_that_of_neutral_prompts_alone(tiny: Tiny) -> None:
    last = np.array([tokens[-1] for tokens in neutral(tiny)])
    path = tiny.layout.pair_file("moments", MODEL, TRAIT, ".h5")
    stored = read_array(path, f"covariance/{LAYER}/pooled")
    expected = np.cov(last, rowvar=False)
    assert np.abs(stored - expected).max() <= 1e-6 * np.abs(expected).max()
    spaces = tiny.rows("null_spaces", kind="covariance").filter(pl.col("environment") == "pooled")
    assert set(spaces["n_samples"]) == {len(last)}


def test_a_study_may_do_without_all_tokens(tiny: Tiny) -> None:
    from steer_assets.assets.geometry.activation_caches import activation_caches

    spectra = tiny.study.spectra.model_copy(update={"all_tokens": False})
    study = tiny.study.model_copy(update={"spectra": spectra})
    run = replace(tiny.run("activation_caches"), study=study)
    path = tiny.layout.pair_file("activations", MODEL, TRAIT, ".h5")
    before = path.read_bytes()
    try:
        produced = activation_caches.make(run)
        assert set(produced.rows[0].frame["position"]) == {"last_prompt_token"}
        assert list(read_halves(run, LAYER)) == []
    finally:
        run.shards.clear()  # they bear the identity of the study with all tokens
        path.write_bytes(before)
