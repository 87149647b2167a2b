"""Stage 9: steered texts."""

import polars as pl

from steer_assets.assets import seeds, selection
from steer_assets.assets.arms import UNSTEERED, Arm, arms_by_environment
from steer_assets.assets.stage import Produced, Rows, StageRun, stage
from steer_assets.assets.vector_families import read_table


def generation_id(protocol: str, arm: Arm, prompt_id: str, sample: int) -> str:
    """The key of one text within its partition."""
    return f"{protocol}/{arm.vector_id}@{arm.alpha:g}/{prompt_id}/{sample}"


@stage(
    dimensions=("model", "trait"),
    group="evidence",
    kinds={"pytorch", "duckdb"},
    code_version="1",
    needs=("model_snapshot", "prompt_sets", "vector_families"),
    settings=("seed", "numerics", "layers.steer", "prompts.test", "generation"),
)
def generations(run: StageRun) -> Produced:
    """Sampled texts of every arm, without their prompts.

    alpha * vector is added at the last prompt token and at every generated token. All arms see the
    same prompts and, position by position, the same random numbers.
    """
    from steer_assets.lm import decode
    from steer_assets.lm.intervene import Addition

    model = run.language_model()
    vectors, values = read_table(run)
    prompts = selection.generation_tests(run.rows("prompt_sets"), run.study)
    by_environment = arms_by_environment(
        run.study, vectors, run.steer_layers(), run.model_facts()["n_layers"]
    )
    arms = list(dict.fromkeys(arm for chosen in by_environment.values() for arm in chosen))
    rows = {vector_id: row for row, vector_id in enumerate(vectors["vector_id"])}
    layers = dict(vectors.select("vector_id", "layer").iter_rows())
    settings = run.study.generation
    texts = decode.generate(
        model,
        model.encode(prompts["text"].to_list()),
        [
            ()
            if arm == UNSTEERED
            else (Addition(layers[arm.vector_id], rows[arm.vector_id], arm.alpha),)
            for arm in arms
        ],
        values,
        decode.Sampling(
            max_new_tokens=settings.max_new_tokens,
            n_samples=settings.samples,
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=seeds.integer(run.study, "generations", run.model, run.trait),
        ),
        prompt_keys=prompts["prompt_id"].to_list(),
        pairs=[
            (prompt, arms.index(arm))
            for prompt, environment in enumerate(prompts["environment"])
            for arm in by_environment.get(environment, [])
        ],
        batch_rows=settings.batch_rows,
        on_progress=run.progress("decoding"),
    )
    frame = pl.DataFrame(
        [
            {
                "generation_id": generation_id(
                    "controlled",
                    arms[text.arm],
                    prompts.item(text.prompt, "prompt_id"),
                    text.sample,
                ),
                "protocol": "controlled",
                "vector_id": arms[text.arm].vector_id,
                "alpha": arms[text.arm].alpha,
                "environment": prompts.item(text.prompt, "environment"),
                "prompt_id": prompts.item(text.prompt, "prompt_id"),
                "sample": text.sample,
                "seed": text.seed,
                "prompt": prompts.item(text.prompt, "text"),
                "text": text.text,
                "n_tokens": len(text.token_ids),
                "finish_reason": text.finish_reason,
            }
            for text in texts
        ]
    )
    n_tokens = sum(len(text.token_ids) for text in texts)
    return Produced(
        rows=[Rows("generations", frame)],
        metadata={"arms": len(arms), "prompts": len(prompts), "tokens": n_tokens},
        metrics={"n_texts": len(frame), "n_tokens": n_tokens},
    )
