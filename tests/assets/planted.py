"""Scores with known conclusions, for every set of texts that protocols need."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from steer_assets.catalog import catalog
from steer_assets.catalog.protocols import CONTROLLED, SWITCHES, variants
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design import protocol_sites
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.design.protocol_settings import TOUCHED, settings

LAYER = 15


@dataclass(frozen=True)
class World:
    """Effects over unsteered by family, noise within a prompt, spread of prompts.

    prompt_part: what the prompt adds to a score of prompt and text, by its own level.
    """

    effects: dict[str, float]
    noise: float = 0.3
    between: float = 1.0
    level: float = 0.0
    prompt_part: float = 3.0
    interaction: dict[str, float] = field(default_factory=dict)


def one_look(study: Study) -> Study:
    """The study with all its texts made at once."""
    plan = study.model_dump(mode="json")
    plan["generation"] |= {"looks": [1.0], "extra": 1.0}
    for arms in plan["generation"]["arms"]:
        arms["looks"] = None
    return Study.model_validate(plan)


def planted_study(n_prompts: int = 40, samples: int = 3, seeds: int = 2) -> Study:
    """`quick` with the given number of prompts, all of them in the protocols too."""
    plan = one_look(catalog.study("quick")).model_dump(mode="json")
    tests = {"in_distribution": n_prompts // 2, "topic_shift": n_prompts // 4}
    tests |= {"genre_shift": n_prompts - sum(tests.values()), "safety_style": 0}
    plan["prompts"]["test"] = tests
    plan["generation"]["samples"] = samples
    plan["statistics"]["n_boot"] = 400
    plan["vectors"]["orthogonal_seeds"] = list(range(seeds))
    plan["protocol_texts"] |= {"prompts": tests, "samples": samples, "seeds": seeds}
    plan["protocols"] = [
        {"name": CONTROLLED},
        {"name": "reference", "switches": list(SWITCHES)},
    ]
    return Study.model_validate(plan)


def family(arm: Arm) -> str:
    """`base`, `subspace_5`, ...; the two lengths of v + v_perp are one."""
    name = arm.vector_id.split(".")[1] if "." in arm.vector_id else arm.vector_id
    return "plus" if name.startswith("base_plus") else name


def scored(world: World, study: Study, trait: str, seed: int = 0) -> pl.DataFrame:
    """Rows of `generations` with `score` and `prompted`, for every set of texts."""
    rng = np.random.default_rng(seed)
    protocol = study.switched_protocols[0]
    environments = [e for e, n in study.prompts.test.items() for _ in range(n)]
    n, m = len(environments), study.generation.samples
    prompt = world.level + world.between * rng.normal(size=(n, 1))
    shared = world.noise * rng.normal(size=(n, m))
    sets = {CONTROLLED: (), **variants(protocol)}
    parts = []
    for name, on in sets.items():
        arms = [
            *protocol_sites.arms(study, protocol, protocol.name, LAYER),
        ]
        for arm in protocol_sites.with_unsteered(arms):
            effect = 0.0 if arm == UNSTEERED else arm.alpha * world.effects[family(arm)]
            own = world.noise * rng.normal(size=(n, m))
            noise = own if "independent_sampling" in on else shared + 0.2 * own
            tilt = world.interaction.get(family(arm), 0.0) * rng.normal(size=(n, 1))
            scores = prompt + effect + tilt + noise
            parts.append(_rows(name, arm, environments, scores, world.prompt_part))
    return pl.concat(parts).with_columns(scorer=pl.lit("known"), trait=pl.lit(trait))


def _rows(
    protocol: str, arm: Arm, environments: list[str], scores: np.ndarray, prompt_part: float
) -> pl.DataFrame:
    n, m = scores.shape
    prompt, sample = np.divmod(np.arange(n * m), m)
    with_prompt = scores + prompt_part * np.sin(np.arange(n))[:, None]
    return pl.DataFrame(
        {
            "generation_id": [
                f"{protocol}/{arm.vector_id}@{arm.alpha:g}/p{p}/{s}"
                for p, s in zip(prompt, sample, strict=True)
            ],
            "protocol": protocol,
            "vector_id": arm.vector_id,
            "alpha": arm.alpha,
            "environment": [environments[p] for p in prompt],
            "prompt_id": [f"p{p}" for p in prompt],
            "sample": sample,
            "score": scores.ravel(),
            "prompted": with_prompt.ravel(),
        }
    )


def measures(study: Study, trait: str) -> pl.DataFrame:
    """Numbers that need no text: a null space that is all floor unless differentiated exactly."""
    protocol = study.switched_protocols[0]
    rows = []
    for conclusion, quantity in TOUCHED:
        if conclusion not in ("null_space_size", "logit_equivalence"):
            continue
        for setting in settings(protocol, conclusion, quantity, trait):
            floor = 0.0
            if quantity == "kl_share":
                value = 0.1
            elif quantity == "distance_reduction":
                # An isotropic model: all of it is that the control lies sqrt(2) times as far.
                value = floor = 1 - 0.5**0.5 if "replaced_control" in setting.on else 0.0
            elif quantity == "covariance_null_fraction":
                value, floor = 0.8, 0.75
            elif "finite_difference" in setting.on:
                value, floor = 0.95, 0.9
            else:
                value = 0.3
            rows.append(
                {
                    "model": "toy",
                    "trait": trait,
                    "protocol": protocol.name,
                    "layer": LAYER,
                    "conclusion": conclusion,
                    "quantity": quantity,
                    "setting": setting.name,
                    "switch": setting.switch,
                    "value": value,
                    "low": value - 0.02,
                    "high": value + 0.02,
                    "by_itself": floor,
                    "n_prompts": 4,
                    "reason": "",
                    "run_id": "",
                    "code_version": "1",
                }
            )
    return pl.DataFrame(rows)


def as_run(table: pl.DataFrame, study: Study, trait: str, auroc_low: float = 0.9) -> Any:
    """What `protocol_comparison` reads, without a data folder."""
    keys = ["generation_id", "scorer"]
    frames = {
        "generations": table.drop("score", "prompted", "scorer"),
        "classifier_scores": table.select(*keys, "score"),
        "prompted_scores": table.filter(pl.col("protocol") != CONTROLLED).select(
            *keys, pl.col("prompted").alias("score")
        ),
        "scorer_validation": pl.DataFrame({"scorer": ["known"], "auroc_low": [auroc_low]}),
        "judge_validation": pl.DataFrame(schema={"scorer": pl.String, "auroc_low": pl.Float64}),
        "protocol_measures": measures(study, trait) if study.switched_protocols else pl.DataFrame(),
    }
    return SimpleNamespace(
        study=study,
        model="toy",
        trait=trait,
        key={"model": "toy", "trait": trait},
        log=SimpleNamespace(info=print, warning=print),
        frames=frames,
        rows=lambda name: frames[name],
        model_facts=lambda: {"n_layers": 30, "hidden_size": 8},
    )


def scored_by_vector(shifts: dict[str, float]) -> pl.DataFrame:
    """Scores of two texts of 40 prompts by vector, at its shift from the prompts' own scores."""
    rng = np.random.default_rng(4)
    prompt = rng.normal(size=(40, 1))
    rows = [
        {"vector_id": name, "alpha": 0.0 if name == "none" else 1.0, "prompt_id": f"p{p}",
         "environment": "in_distribution", "sample": s,
         "score": float(prompt[p, 0] + shift + 0.1 * rng.normal())}
        for name, shift in shifts.items() for p in range(40) for s in range(2)
    ]  # fmt: skip
    return pl.DataFrame(rows)
