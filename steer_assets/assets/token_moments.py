"""Second moments over all prompt tokens, streamed while activations are captured.

Last-token samples are one per prompt and fewer than the residual stream has dimensions; all tokens
are many more, which is what takes the sampling floor away. Kept in two halves of the prompts (both
prompts of a pair in one half), so that a null space fitted on one can be tested on the other. For
that test each prompt leaves a few of its tokens behind.

Tokens that every prompt begins with (the template's system turn) are left out: they are constants
counted once per prompt, not samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.stage import StageRun
from steer_assets.storage.hashing import hash_arrays
from steer_assets.storage.hdf5 import read_arrays

if TYPE_CHECKING:
    from steer_assets.geometry.moments import Moments
    from steer_assets.lm.capture import Captured

#: Name of the environment in tables.
ALL_TOKENS = "all_tokens"
POSITION = "all_prompt_tokens"
HALVES = (0, 1)
#: Tokens that each prompt leaves behind, evenly spaced, the last one among them.
KEPT_PER_PROMPT = 4
_NO_SAMPLE = -1


def _halves(prompts: pl.DataFrame) -> np.ndarray:
    """Half of each prompt [n]; -1 for control prompts, which are no sample of the trait's."""
    group = pl.when(pl.col("pair_id") == "").then("prompt_id").otherwise("pair_id")
    half = group.rank("dense").cast(pl.Int64) % len(HALVES)
    own = pl.when(pl.col("role") == "control").then(_NO_SAMPLE).otherwise(half)
    return prompts.select(own.alias("half"))["half"].to_numpy()


class TokenMoments:
    """Moments and kept tokens of every layer and half, fed batch by batch."""

    def __init__(
        self,
        prompts: pl.DataFrame,
        ids: Sequence[Sequence[int]],
        layers: Sequence[int],
        hidden_size: int,
    ) -> None:
        from steer_assets.geometry.moments import Moments
        from steer_assets.lm.prefix import common_length

        self._half = _halves(prompts)
        own = [ids[i] for i in np.flatnonzero(self._half != _NO_SAMPLE).tolist()]
        self.n_prompts = len(own)
        # At least the last token of the shortest prompt counts.
        self._skip = min(common_length(own), min(map(len, own)) - 1)
        self._moments = {(lay, half): Moments(hidden_size) for lay in layers for half in HALVES}
        self._kept: dict[tuple[int, int], list[np.ndarray]] = {key: [] for key in self._moments}

    def add(self, batch: Captured) -> None:
        """Take in one batch captured at all positions."""
        halves = self._half[batch.prompt_indices]
        for (layer, half), moments in self._moments.items():
            mine = [batch[layer][i][self._skip :] for i in np.flatnonzero(halves == half)]
            if mine:
                moments.update(np.concatenate(mine))
            for tokens in mine:
                spaced = np.linspace(len(tokens) - 1, 0, min(len(tokens), KEPT_PER_PROMPT))
                self._kept[layer, half].append(tokens[spaced.round().astype(int)])

    def arrays(self) -> dict[str, np.ndarray]:
        """What goes into the cache: `tokens/<layer>/<half>/{n,mean,scatter,kept}`."""
        found: dict[str, np.ndarray] = {}
        for (layer, half), moments in self._moments.items():
            place = f"tokens/{layer}/{half}"
            found[f"{place}/n"] = np.array([moments.n])
            found[f"{place}/mean"] = moments.mean
            found[f"{place}/scatter"] = moments.scatter
            found[f"{place}/kept"] = np.concatenate(self._kept[layer, half])
        return found

    def records(self) -> Iterator[dict[str, object]]:
        """What the table `activation_caches` says of each layer's moments."""
        arrays = self.arrays()
        for layer in sorted({layer for layer, _ in self._moments}):
            own = {k: v for k, v in arrays.items() if k.startswith(f"tokens/{layer}/")}
            yield {
                "layer": layer,
                "position": POSITION,
                "n_prompts": self.n_prompts,
                "bytes": sum(array.nbytes for array in own.values()),
                "sha256": hash_arrays(own),
            }


def read_halves(run: StageRun, layer: int) -> Iterator[tuple[Moments, np.ndarray]]:
    """Moments and kept tokens float32 [m, d] of each half; nothing where none were streamed."""
    from steer_assets.geometry.moments import Moments

    path = run.layout.pair_file("activations", run.model, run.trait, ".h5")
    stored = read_arrays(path, f"tokens/{layer}/")
    for half in HALVES if stored else ():
        n, mean, scatter, kept = (
            stored[f"tokens/{layer}/{half}/{part}"] for part in ("n", "mean", "scatter", "kept")
        )
        yield Moments.restore(int(n[0]), mean, scatter), kept
