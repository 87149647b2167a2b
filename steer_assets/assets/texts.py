"""Sampled texts of arms as rows of `generations`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets import seeds
from steer_assets.assets.arms import UNSTEERED, Arm
from steer_assets.assets.stage import StageRun

if TYPE_CHECKING:
    from steer_assets.lm import decode


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
) -> pl.DataFrame:
    """Texts of every prompt under the arms of its environment.

    vectors: ids, blocks at which they are added, and values [n, d]. Arms share their random
    numbers, position by position; `independent` gives every arm its own.
    """
    from steer_assets.lm import decode
    from steer_assets.lm.intervene import Addition

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
    encoded = model.encode(prompts["text"].to_list(), chat_template=chat_template)
    keys = prompts["prompt_id"].to_list()
    # Random numbers go by prompt key, so that an arm with keys of its own has its own numbers.
    asked = pairs if independent else [(prompt, UNSTEERED) for prompt in range(len(prompts))]
    at = {pair: row for row, pair in enumerate(asked)}
    texts = decode.generate(
        model,
        [encoded[prompt] for prompt, _ in asked],
        [
            ()
            if arm == UNSTEERED
            else (Addition(layers[rows[arm.vector_id]], rows[arm.vector_id], arm.alpha),)
            for arm in distinct
        ],
        values,
        decode.Sampling(
            max_new_tokens=settings.max_new_tokens,
            n_samples=samples,
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=seeds.integer(run.study, "generations", run.model, run.trait),
        ),
        prompt_keys=[
            f"{protocol}/{arm.vector_id}@{arm.alpha:g}/{keys[prompt]}" if independent
            else keys[prompt]
            for prompt, arm in asked
        ],
        pairs=[
            (at[pair if independent else (pair[0], UNSTEERED)], distinct.index(pair[1]))
            for pair in pairs
        ],
        batch_rows=settings.batch_rows,
        on_progress=run.progress(f"decoding {protocol}"),
    )  # fmt: skip
    return pl.DataFrame(
        [_row(protocol, text, distinct[text.arm], prompts, asked[text.prompt][0]) for text in texts]
    )


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
    }
