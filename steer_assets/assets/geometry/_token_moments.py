"""Second moments over all prompt tokens, accumulated while activations are captured.

Moments are kept by environment, and for all neutral (test) prompts in two halves, so that a null
space fitted on one half can be tested on the other. For that test a few tokens of each prompt are
stored. Contrast prompts, from which v is computed, are in neither half.

Tokens of one prompt are dependent: prompts are the units that are counted and held out. The part of
the scatter that a small number of prompts forces follows from each prompt's own scatter
(`geometry.null_spaces.floors`), whose eigenvalues are stored with the prompt's mean and number of
tokens.

Tokens common to the start of every prompt (the template's system turn) are left out: they are
constants, counted once per prompt, and carry no information on the distribution.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.catalog.traits import ENVIRONMENTS
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.files.hashing import hash_arrays
from steer_assets.storage.files.hdf5 import read_array, read_arrays

if TYPE_CHECKING:
    from steer_assets.geometry.null_spaces.moments import Moments
    from steer_assets.lm.measurements.capture import Captured

#: Name in tables for the tokens of all neutral prompts; `all_tokens.<environment>` for those of one
#: environment.
ALL_TOKENS = "all_tokens"
#: Contrast prompts, which belong to no test environment.
CONTRAST = "contrast"
POSITION = "all_prompt_tokens"
HALVES = (0, 1)
#: Number of tokens stored of each prompt, evenly spaced, including the last.
KEPT_PER_PROMPT = 4
_NO_HALF = -1


def _halves(prompts: pl.DataFrame) -> np.ndarray:
    """Half of each neutral prompt [n]; -1 for the others, which are used for no null space."""
    neutral = pl.col("role") == "test"
    half = pl.when(neutral).then("prompt_id").rank("dense").cast(pl.Int64) % len(HALVES)
    return prompts.select(half.fill_null(_NO_HALF).alias("half"))["half"].to_numpy()


def _environments(prompts: pl.DataFrame) -> np.ndarray:
    """Environment of each prompt [n]; that of contrast prompts is `contrast`."""
    named = pl.when(pl.col("role") == "test").then("environment").otherwise(pl.lit(CONTRAST))
    return prompts.select(named.alias("environment"))["environment"].to_numpy()


@dataclass(frozen=True, slots=True)
class _Part:
    """Tokens of one prompt: their number, mean [d], and eigenvalues of the scatter about it."""

    size: int
    mean: np.ndarray
    within: np.ndarray


def _part(tokens: np.ndarray) -> _Part:
    """The part for tokens [n, d]."""
    values = tokens.astype(np.float64)
    mean = values.mean(axis=0)
    return _Part(len(values), mean, np.linalg.svd(values - mean, compute_uv=False) ** 2)


def _stacked(parts: Sequence[_Part], place: str) -> dict[str, np.ndarray]:
    within = np.zeros((len(parts), max(len(part.within) for part in parts)))
    for row, part in zip(within, parts, strict=True):
        row[: len(part.within)] = part.within
    return {
        f"{place}/sizes": np.array([part.size for part in parts]),
        f"{place}/means": np.array([part.mean for part in parts], dtype=np.float32),
        f"{place}/within": within,
    }


class TokenMoments:
    """Moments and stored tokens of every layer and half, updated batch by batch.

    Every token is counted once, by layer, environment and half; totals over either are merged.
    """

    def __init__(
        self,
        prompts: pl.DataFrame,
        ids: Sequence[Sequence[int]],
        layers: Sequence[int],
        hidden_size: int,
    ) -> None:
        from steer_assets.lm.forward.prefix import common_length

        #: Control prompts are not a sample of the trait's distribution.
        self._own = (prompts["role"] != "control").to_numpy()
        self._half = _halves(prompts)
        self._environment = _environments(prompts)
        self._layers, self._hidden_size = layers, hidden_size
        own = [ids[i] for i in np.flatnonzero(self._own).tolist()]
        self.n_prompts = len(own)
        # At least the last token of the shortest prompt is counted.
        self._skip = min(common_length(own), min(map(len, own)) - 1)
        self._moments: dict[tuple[int, str, int], Moments] = {}
        self._kept: dict[tuple[int, int], list[np.ndarray]] = defaultdict(list)
        self._parts: dict[int, list[_Part]] = defaultdict(list)

    def add(self, batch: Captured) -> None:
        """Add one batch captured at all positions."""
        from steer_assets.geometry.null_spaces.moments import Moments

        groups = defaultdict(list)
        for at, prompt in enumerate(batch.prompt_indices):
            if self._own[prompt]:
                groups[str(self._environment[prompt]), int(self._half[prompt])].append(at)
        for layer in self._layers:
            for (environment, half), members in groups.items():
                mine = [batch[layer][at][self._skip :] for at in members]
                key = (layer, environment, half)
                moments = self._moments.setdefault(key, Moments(self._hidden_size))
                moments.update(np.concatenate(mine))
                for tokens in mine if half != _NO_HALF else ():
                    self._parts[layer].append(_part(tokens))
                    spaced = np.linspace(len(tokens) - 1, 0, min(len(tokens), KEPT_PER_PROMPT))
                    self._kept[layer, half].append(tokens[spaced.round().astype(int)])

    def _merged(self, layer: int, part: str | int) -> Moments:
        """Moments of one environment or of one half."""
        from steer_assets.geometry.null_spaces.moments import Moments

        whole = Moments(self._hidden_size)
        for (own, *parts), moments in sorted(self._moments.items()):
            if own == layer and part in parts:
                whole.merge(moments)
        return whole

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays for the cache: `tokens/<layer>/<half or environment>/{n,mean,scatter}`.

        Halves also have `kept`, float32 [m, d]; `tokens/<layer>/prompts/` holds the neutral
        prompts' `sizes` [n], `means` float32 [n, d] and `within`, the eigenvalues of the scatter
        about them [n, longest], padded with zeros.
        """
        found: dict[str, np.ndarray] = {}
        environments = sorted({environment for _, environment, _ in self._moments})
        halves = [half for half in HALVES if any(half == own[2] for own in self._moments)]
        parts: tuple[str | int, ...] = (*halves, *environments)
        for layer in self._layers:
            for part in parts:
                moments, place = self._merged(layer, part), f"tokens/{layer}/{part}"
                found[f"{place}/n"] = np.array([moments.n])
                found[f"{place}/mean"] = moments.mean
                found[f"{place}/scatter"] = moments.scatter
            for half in halves:
                found[f"tokens/{layer}/{half}/kept"] = np.concatenate(self._kept[layer, half])
            if own := self._parts[layer]:
                found |= _stacked(own, f"tokens/{layer}/prompts")
        return found

    def records(self) -> Iterator[dict[str, object]]:
        """Columns of the table `activation_caches` for each layer's moments."""
        arrays = self.arrays()
        for layer in self._layers:
            own = {k: v for k, v in arrays.items() if k.startswith(f"tokens/{layer}/")}
            yield {
                "layer": layer,
                "position": POSITION,
                "n_prompts": self.n_prompts,
                "bytes": sum(array.nbytes for array in own.values()),
                "sha256": hash_arrays(own),
            }


def _read(run: StageRun, layer: int, parts: Sequence[str | int]) -> dict[str | int, Moments]:
    """Stored moments by part; parts that were not accumulated are omitted."""
    from steer_assets.geometry.null_spaces.moments import Moments

    path = run.layout.pair_file("activations", run.model, run.trait, ".h5")
    found: dict[str | int, Moments] = {}
    for part in parts:
        stored = read_arrays(path, f"tokens/{layer}/{part}/")
        if stored:
            n, mean, scatter = (
                stored[f"tokens/{layer}/{part}/{name}"] for name in ("n", "mean", "scatter")
            )
            found[part] = Moments.restore(int(n[0]), mean, scatter)
    return found


def read_halves(run: StageRun, layer: int) -> Iterator[tuple[Moments, np.ndarray]]:
    """Moments and stored tokens float32 [m, d] of each half; empty if none were accumulated."""
    path = run.layout.pair_file("activations", run.model, run.trait, ".h5")
    for half, moments in _read(run, layer, HALVES).items():
        yield moments, read_array(path, f"tokens/{layer}/{half}/kept")


def read_prompt_parts(run: StageRun, layer: int) -> list[np.ndarray]:
    """Eigenvalues of the summands of the total scatter of the neutral prompts' tokens.

    One summand for each prompt, about its own mean, and a last one for the scatter of these means.
    """
    path = run.layout.pair_file("activations", run.model, run.trait, ".h5")
    place = f"tokens/{layer}/prompts"
    sizes, means, within = (read_array(path, f"{place}/{n}") for n in ("sizes", "means", "within"))
    spread = means - np.average(means.astype(np.float64), axis=0, weights=sizes)
    between = np.linalg.svd(np.sqrt(sizes)[:, None] * spread, compute_uv=False) ** 2
    return [*within, between]


def read_environments(run: StageRun, layer: int) -> dict[str, Moments]:
    """Moments of all tokens by environment, keyed by their name in tables."""
    found = _read(run, layer, (CONTRAST, *ENVIRONMENTS))
    return {f"{ALL_TOKENS}.{environment}": moments for environment, moments in found.items()}
