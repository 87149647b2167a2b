"""Stage: fluency of the steered texts."""

import dataclasses

import numpy as np
import polars as pl

from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.pipeline.design import looks, prompt_selection, thinking
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.schema import frame_of


@stage(
    dimensions=("model", "trait"),
    group="evidence",
    kinds={"pytorch", "duckdb"},
    code_version="4",
    needs=("model_snapshot", "prompt_sets", "generations"),
    settings=(
        "seed",
        "numerics",
        "prompts.test",
        "generation.looks",
        "protocol_texts",
        "fluency.samples",
        "fluency.prompts",
    ),
)
def fluency(run: StageRun) -> Produced:
    """Perplexity of each text under the unsteered model, repetition and distinct n-grams.

    Computed for the first samples of every prompt and arm. Perplexity is that of the text given its
    prompt; an empty text is scored as an immediate end of text. Of a reasoning model the part that
    is scored is measured, given the section of thinking before it.
    """
    from steer_assets.lm.measurements.likelihood import log_probabilities, text_ids
    from steer_assets.scoring import fluency as measures

    settings = run.study.fluency
    chosen = looks.fluency_prompts(run.rows("prompt_sets"), run.study)
    texts = thinking.with_read(run, run.rows("generations")).filter(
        pl.col(thinking.READ).is_not_null()
        & (pl.col("protocol") == CONTROLLED)
        & (pl.col("sample") < settings.samples)
        & pl.col("prompt_id").is_in(chosen["prompt_id"].to_list())
    )
    model = run.language_model()
    position = {prompt_id: row for row, prompt_id in enumerate(chosen["prompt_id"])}
    # Equal texts after equal prompts are measured once, which makes their numbers equal.
    asked = [
        (name, (prompt_id, tuple(tokens[:before]), text))
        for name, prompt_id, tokens, before, text in texts.select(
            "generation_id", "prompt_id", "token_ids", thinking.BEFORE, thinking.READ
        ).iter_rows()
    ]
    distinct = list(dict.fromkeys(one for _, one in asked))
    log_p = log_probabilities(
        model,
        prompt_selection.encoded(model, chosen),
        [
            (position[prompt_id], [*before, *text_ids(model, text)])
            for prompt_id, before, text in distinct
        ],
        on_progress=run.progress("perplexity"),
    )
    of = dict(zip(distinct, log_p, strict=True))
    rows = [
        {
            "generation_id": name,
            **dataclasses.asdict(measures.fluency(one[2])),
            "perplexity": measures.perplexity(of[one][len(one[1]) :].tolist()),
        }
        for name, one in asked
    ]
    frame = frame_of("fluency", rows)
    return Produced(
        rows=[Rows("fluency", frame)],
        metadata={"texts": len(frame)},
        metrics={"median_perplexity": float(np.median(frame["perplexity"].to_numpy()))}
        if rows
        else {},
    )
