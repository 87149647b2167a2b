"""Sampled texts of arms as rows of `generations`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.pipeline.design import prompt_selection, random_streams
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.resuming import Pieces
from steer_assets.pipeline.stage import StageRun
from steer_assets.resources.progress import Measured
from steer_assets.storage.files.hashing import hash_json

if TYPE_CHECKING:
    from steer_assets.lm.decoding import decode
    from steer_assets.lm.forward.intervene import Arm as Additions

    #: Generates texts of (prompt, arm) pairs in batches of a given number of rows.
    Generate = Callable[
        [list[tuple[int, int]], int, Callable[[Measured], None]], list[decode.Generation]
    ]


def generation_id(protocol: str, arm: Arm, prompt_id: str, sample: int) -> str:
    """The key of one text within its partition."""
    return f"{protocol}/{arm.vector_id}@{arm.alpha:g}/{prompt_id}/{sample}"


def sampled(
    run: StageRun,
    protocol: str,
    prompts: pl.DataFrame,
    arms: Mapping[str, Sequence[Arm]],
    vectors: tuple[Sequence[str], Sequence[int], np.ndarray],
    *,
    samples: int,
    chat_template: bool = True,
    independent: bool = False,
    several: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> pl.DataFrame:
    """Texts of every prompt under the arms of its environment.

    vectors: ids, blocks at which they are added, and values [n, d]. Arms use common random numbers
    at each position, unless `independent` is set. several: by vector id, the vectors that an arm
    adds together, each at an equal share of the dose.
    """
    from steer_assets.lm.decoding import decode
    from steer_assets.lm.forward.intervene import Addition

    model = run.language_model()
    settings = run.study.generation
    ids, layers, values = vectors
    rows = {vector_id: row for row, vector_id in enumerate(ids)}
    distinct = list(dict.fromkeys(arm for chosen in arms.values() for arm in chosen))
    pairs = [
        (prompt, arm)
        for prompt, environment in enumerate(prompts["environment"])
        for arm in arms.get(environment, [])
    ]
    encoded = prompt_selection.encoded(model, prompts, chat_template=chat_template)
    keys = prompts["prompt_id"].to_list()
    # Random numbers are keyed by prompt, so an arm with its own keys has independent numbers.
    asked = pairs if independent else [(prompt, UNSTEERED) for prompt in range(len(prompts))]
    at = {pair: row for row, pair in enumerate(asked)}
    asked_ids = [encoded[prompt] for prompt, _ in asked]
    additions: list[tuple[Addition, ...]] = [
        tuple(Addition(layers[rows[part]], rows[part], arm.alpha / len(parts)) for part in parts)
        for arm in distinct
        for parts in [() if arm == UNSTEERED else several.get(arm.vector_id, (arm.vector_id,))]
    ]
    same = list(range(len(distinct))) if independent else _first_alike(additions, values)
    sampling = decode.Sampling(
        max_new_tokens=settings.max_new_tokens,
        n_samples=samples,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seed=random_streams.integer(run.study, "generations", run.model, run.trait),
    )
    prompt_keys = [
        f"{protocol}/{arm.vector_id}@{arm.alpha:g}/{keys[prompt]}" if independent else keys[prompt]
        for prompt, arm in asked
    ]
    texts = _in_pieces(
        run,
        protocol,
        asked_ids,
        [
            (at[pair if independent else (pair[0], UNSTEERED)], same[distinct.index(pair[1])])
            for pair in pairs
        ],
        samples,
        lambda piece, size, report: decode.generate(
            model,
            asked_ids,
            additions,
            values,
            sampling,
            prompt_keys=prompt_keys,
            pairs=piece,
            batch_rows=size,
            on_progress=report,
        ),
    )
    by_place = {(asked[text.prompt][0], text.arm, text.sample): text for text in texts}
    return pl.DataFrame(
        [
            _row(protocol, by_place[prompt, same[at], sample], arm, prompts, prompt)
            for prompt, arm in pairs
            for at in [distinct.index(arm)]
            for sample in range(samples)
        ]
    )


def _first_alike(additions: Sequence[Additions], values: np.ndarray) -> list[int]:
    """For every arm, the first arm that adds the same numbers and so gives the same texts.

    A copy of a vector has the texts of its original, and dose 0 those of the unsteered model.
    """
    first: dict[object, int] = {}
    found = []
    for arm, added in enumerate(additions):
        # adding 0.0 turns -0.0 into 0.0
        steps = [(a.layer, a.alpha * values[a.vector] + 0.0) for a in added]
        key = tuple((layer, step.tobytes()) for layer, step in steps if step.any())
        found.append(first.setdefault(key, arm))
    return found


def _in_pieces(
    run: StageRun,
    protocol: str,
    ids: list[list[int]],
    pairs: list[tuple[int, int]],
    samples: int,
    generate: Generate,
) -> list[decode.Generation]:
    """Texts of all pairs, batch by batch; completed batches survive a killed run."""
    from steer_assets.lm.decoding.decode import Generation
    from steer_assets.lm.decoding.memory import default_rows

    settings = run.study.generation
    longest = max(map(len, ids), default=1)
    size = settings.batch_rows or default_rows(
        run.language_model(), longest, settings.max_new_tokens
    )
    per_piece = max(1, size // samples)
    ordered = sorted(set(pairs), key=lambda pair: (len(ids[pair[0]]), pair))
    pieces = Pieces(run.progress(f"decoding {protocol}"), len(ordered) * samples, "generations")
    texts: list[Generation] = []
    for start in range(0, len(ordered), per_piece):
        piece = ordered[start : start + per_piece]
        name, n = f"{protocol}-{hash_json(piece)[:16]}", len(piece) * samples
        stored = run.shards.records(name)
        if stored is not None:
            pieces.finished(n)
            texts += [Generation(**record) for record in stored]
            continue
        made = generate(piece, size, pieces.piece(n))
        run.shards.put_records(name, [dataclasses.asdict(text) for text in made])
        texts += made
    return sorted(texts, key=lambda text: (text.prompt, text.arm, text.sample))


def _row(
    protocol: str, text: decode.Generation, arm: Arm, prompts: pl.DataFrame, prompt: int
) -> dict[str, object]:
    prompt_id = prompts.item(prompt, "prompt_id")
    return {
        "generation_id": generation_id(protocol, arm, prompt_id, text.sample),
        "protocol": protocol,
        "vector_id": arm.vector_id,
        "alpha": arm.alpha,
        "environment": prompts.item(prompt, "environment"),
        "prompt_id": prompt_id,
        "sample": text.sample,
        "seed": text.seed,
        "prompt": prompts.item(prompt, "text"),
        "text": text.text,
        "n_tokens": len(text.token_ids),
        "finish_reason": text.finish_reason,
        "token_ids": text.token_ids,
        "log_probability": text.log_probability,
        "least_token_log_probability": text.least_token_log_probability,
        "least_token": text.least_token,
    }
