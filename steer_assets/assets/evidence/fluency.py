"""Stage: fluency of the steered texts."""

import dataclasses

import numpy as np
import polars as pl

from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.pipeline.design import looks, prompt_selection
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage


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
    prompt; an empty text is scored as an immediate end of text.
    """
    from steer_assets.lm.measurements.likelihood import log_probabilities, text_ids
    from steer_assets.scoring import fluency as measures

    settings = run.study.fluency
    chosen = looks.fluency_prompts(run.rows("prompt_sets"), run.study)
    texts = run.rows("generations").filter(
        (pl.col("protocol") == CONTROLLED)
        & (pl.col("sample") < settings.samples)
        & pl.col("prompt_id").is_in(chosen["prompt_id"].to_list())
    )
    model = run.language_model()
    position = {prompt_id: row for row, prompt_id in enumerate(chosen["prompt_id"])}
    # Equal texts after equal prompts are measured once, which makes their numbers equal.
    pairs = texts.select("prompt_id", "text").unique(maintain_order=True).rows()
    log_p = log_probabilities(
        model,
        prompt_selection.encoded(model, chosen),
        [(position[prompt_id], text_ids(model, text)) for prompt_id, text in pairs],
        on_progress=run.progress("perplexity"),
    )
    of = dict(zip(pairs, log_p, strict=True))
    frame = pl.DataFrame(
        [
            {
                "generation_id": generation_id,
                **dataclasses.asdict(measures.fluency(text)),
                "perplexity": measures.perplexity(of[prompt_id, text].tolist()),
            }
            for generation_id, prompt_id, text in texts.select(
                "generation_id", "prompt_id", "text"
            ).iter_rows()
        ]
    )
    return Produced(
        rows=[Rows("fluency", frame)],
        metadata={"texts": len(frame)},
        metrics={"median_perplexity": float(np.median(frame["perplexity"].to_numpy()))},
    )
