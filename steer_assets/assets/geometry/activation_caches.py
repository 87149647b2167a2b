"""Stage 3: activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.geometry._token_moments import TokenMoments
from steer_assets.pipeline.design import prompt_selection
from steer_assets.pipeline.resuming import Pieces, in_order, spread
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.files.hashing import hash_array, hash_json
from steer_assets.storage.files.hdf5 import read_array, write_arrays

if TYPE_CHECKING:
    from steer_assets.lm.measurements.capture import Captured

SITE = "block_output"
POSITION = "last_prompt_token"
#: Padded tokens of one batch, which is also the most that a killed run loses.
_BATCH_TOKENS = 4096


def read_activations(run: StageRun, layer: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Prompts of the cache with their `row`, and activations float32 [n, d] of one layer."""
    path = run.layout.pair_file("activations", run.model, run.trait, ".h5")
    ids = [name.decode() for name in read_array(path, "prompt_ids")]
    rows = pl.DataFrame({"prompt_id": ids}).with_row_index("row")
    prompts = rows.join(run.rows("prompt_sets"), on="prompt_id", how="left", maintain_order="left")
    return prompts, read_array(path, f"last/{layer}")


def pair_activations(
    prompts: pl.DataFrame, activations: np.ndarray, role: str
) -> tuple[np.ndarray, np.ndarray]:
    """Positive and negative activations float64 [n_pairs, d] of a role, in matching pair order."""
    pairs = prompts.filter(pl.col("role") == role).sort("row")
    sides = [
        activations[pairs.filter(pl.col("polarity") == polarity)["row"].to_numpy()]
        for polarity in ("positive", "negative")
    ]
    return sides[0].astype(np.float64), sides[1].astype(np.float64)


def _captured(
    run: StageRun, ids: list[list[int]], layers: list[int], *, every: bool
) -> Iterator[Captured]:
    """Batches captured at the last or at `every` token; those stored by a killed run are reused."""
    from steer_assets.lm.forward.prefix import by_length
    from steer_assets.lm.measurements.capture import Captured, capture

    pieces = Pieces(run.progress("capturing"), len(ids), "prompts")
    batches = {f"batch-{hash_json(b)[:16]}": b for b in by_length(ids, _BATCH_TOKENS)}
    calls = {
        name: {
            "prompts": [ids[i] for i in batch],
            "layers": layers,
            "positions": "all" if every else "last",
            "batch_tokens": _BATCH_TOKENS,
        }
        for name, batch in batches.items()
        if run.shards.arrays(name) is None
    }
    sizes = {name: len(batches[name]) for name in calls}
    made = in_order(calls, spread(run, capture, calls, pieces, sizes))
    for name, batch in batches.items():
        if name in calls:
            (captured,) = next(made)
            stored = {
                str(layer): np.concatenate(captured[layer])
                if every
                else np.asarray(captured[layer])
                for layer in layers
            }
            run.shards.put_arrays(name, stored)
        else:
            found = run.shards.arrays(name)
            assert found is not None
            stored = found
            pieces.finished(len(batch))
        ends = np.cumsum([len(ids[i]) for i in batch])[:-1]
        yield Captured(
            np.array(batch),
            {
                layer: np.split(stored[str(layer)], ends) if every else stored[str(layer)]
                for layer in layers
            },
        )


@stage(
    dimensions=("model", "trait"),
    group="geometry",
    kinds={"pytorch", "hdf5"},
    code_version="5",
    needs=("model_snapshot", "prompt_sets"),
    settings=(
        "numerics",
        "layers",
        "prompts.contrast_pairs",
        "prompts.neutral",
        "spectra.all_tokens",
    ),
)
def activation_caches(run: StageRun) -> Produced:
    """Residual stream at the output of each chosen block, at the last prompt token.

    Contrast, control and neutral test prompts, chat template applied. HDF5 datasets
    `last/<layer>` are float32 [prompts, hidden size]; `prompt_ids` names the rows. If the study
    requires them, the moments of all prompt tokens are accumulated in the same pass:
    `tokens/<layer>/<half or environment>/...`, and `tokens/<layer>/prompts/...` for each neutral
    prompt.
    """
    model = run.language_model()
    facts, layers = run.model_facts(), run.all_layers()
    table = run.rows("prompt_sets")
    prompts = pl.concat(
        [
            prompt_selection.contrast_pairs(table, run.study),
            prompt_selection.contrast_pairs(table, run.study, role="control"),
            prompt_selection.neutral_tests(table, run.study),
        ]
    )
    ids = prompt_selection.encoded(model, prompts)
    rows: dict[int, np.ndarray] = {
        layer: np.empty((len(ids), model.hidden_size), np.float32) for layer in layers
    }
    tokens = None
    if run.study.spectra.all_tokens:
        tokens = TokenMoments(prompts, ids, layers, model.hidden_size)
    for batch in _captured(run, ids, layers, every=tokens is not None):
        if tokens is not None:
            tokens.add(batch)
        for layer in layers:
            for row, values in zip(batch.prompt_indices, batch[layer], strict=True):
                rows[layer][row] = values if tokens is None else values[-1]
    arrays = {f"last/{layer}": values for layer, values in rows.items()}
    if tokens is not None:
        arrays |= tokens.arrays()
    arrays["prompt_ids"] = np.array([p.encode() for p in prompts["prompt_id"]])
    path = run.layout.pair_file("activations", run.model, run.trait, ".h5")
    content = write_arrays(
        path,
        arrays,
        {
            "model_sha256": facts["sha256"],
            "tokenizer_sha256": facts["tokenizer_sha256"],
            "site": SITE,
            "position": POSITION,
            "layers": layers,
            "dtype": model.dtype,
            "device": model.device,
            "code_version": activation_caches.code_version,
        },
    )
    relative = run.layout.relative(path)
    shared = {
        "site": SITE,
        "hidden_size": model.hidden_size,
        "dtype": model.dtype,
        "path": relative,
    }
    records = [
        {
            **shared,
            "layer": layer,
            "position": POSITION,
            "n_prompts": len(ids),
            "bytes": values.nbytes,
            "sha256": hash_array(values),
        }
        for layer, values in rows.items()
    ]
    if tokens is not None:
        records += [{**shared, **record} for record in tokens.records()]
    frame = pl.DataFrame(records)
    norms = {
        f"mean norm at {layer}": float(np.linalg.norm(v, axis=1).mean())
        for layer, v in rows.items()
    }
    return Produced(
        rows=[Rows("activation_caches", frame)],
        files={relative: content},
        metadata={"prompts": len(ids), "layers": str(layers), **norms},
        metrics={"n_prompts": len(ids), **{k.replace(" ", "_"): v for k, v in norms.items()}},
    )
