"""Stage 1: prompts."""

import polars as pl

from steer_assets.catalog import catalog
from steer_assets.catalog.prompts import checksum
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.layout import PartitionKey


def _sources(key: PartitionKey, study: Study) -> dict[str, str]:
    trait, control = key["trait"], study.control_trait
    return {
        f"traits/{trait}.yaml": hash_json(catalog.trait(trait).model_dump(mode="json")),
        f"controls/{control}.yaml": hash_json(
            catalog.control_trait(control).model_dump(mode="json")
        ),
    }


@stage(
    dimensions=("trait",),
    group="inputs",
    kinds={"polars", "duckdb"},
    code_version="2",
    settings=("control_trait",),
    sources=_sources,
)
def prompt_sets(run: StageRun) -> Produced:
    """Contrast pairs, neutral test prompts in four environments, and the control trait's pairs.

    One row per prompt. `contrast` prompts form pairs that differ only in the requested pole; `test`
    prompts request neither pole; `control` pairs belong to a direction unrelated to the trait.
    `turns` holds the turns of a prompt that is more than one user turn; for answered questions the
    last turn is the answer, and its last token is where v is read. The chat template is not applied
    to `raw` texts.
    """
    trait = catalog.trait(run.trait)
    prompts = [
        *trait.pairs("contrast"),
        *trait.tests(),
        *catalog.control_trait(run.study.control_trait).pairs("control"),
    ]
    frame = pl.DataFrame(
        [
            {
                "prompt_id": prompt.prompt_id,
                "environment": prompt.environment,
                "role": prompt.role,
                "pair_id": prompt.pair_id,
                "polarity": prompt.polarity,
                "text": prompt.text,
                "turns": prompt.turns,
                "raw": prompt.raw,
                "sha256": checksum(prompt.text, prompt.turns, prompt.raw),
            }
            for prompt in prompts
        ]
    )
    counts = frame.group_by("role", "environment").len().sort("role", "environment")
    return Produced(
        rows=[Rows("prompt_sets", frame)],
        metadata={f"{role} {environment}": n for role, environment, n in counts.iter_rows()},
        metrics={"n_prompts": len(frame)},
    )
