"""Steered texts in columns, chosen by a fixed rule independent of their scores."""

from dataclasses import dataclass

import polars as pl

from steer_assets.reporting.evidence import UNSTEERED, Evidence, seeds_shown
from steer_assets.reporting.figures.charts.environments import ORDER

_PER_ENVIRONMENT = 1
_LONGEST = 1200


@dataclass(frozen=True, slots=True)
class Text:
    """One generated text; `score` is None if it was not scored.

    Of a reasoning model the answer is shown, or why there is none.
    """

    arm: str
    text: str
    score: float | None
    finish_reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Texts of one prompt and sample, one per arm; an arm without a text is None."""

    layer: int
    environment: str
    prompt: str
    arms: tuple[tuple[str, Text | None], ...]


def side_by_side(evidence: Evidence) -> list[Comparison]:
    """First prompt of every environment, first sample: unsteered, v and v + v_perp, per layer."""
    texts = evidence.table("generations").filter(
        pl.col("protocol") == "controlled",
        evidence.at_headline_dose | (pl.col("vector_id") == UNSTEERED),
    )
    if texts.is_empty():
        return []
    texts = texts.join(
        evidence.table("thinking_sections").select("generation_id", "answer", "reason"),
        on="generation_id",
        how="left",
    ).with_columns(
        text=pl.when(pl.col("reason").fill_null("") != "")
        .then(pl.format("[no answer: {}]", pl.col("reason").fill_null("")))
        .otherwise(pl.coalesce("answer", "text"))
    )
    scores = evidence.table("classifier_scores").filter(pl.col("scorer") == evidence.scorer)
    texts = texts.join(
        scores.select("generation_id", "score"), on="generation_id", how="left"
    ).filter(pl.col("sample") == pl.col("sample").min())
    first = (
        texts.select("environment", "prompt_id", "prompt")
        .unique()
        .sort("prompt_id")
        .group_by("environment", maintain_order=True)
        .head(_PER_ENVIRONMENT)
    )
    prompts = sorted(first.rows(), key=lambda row: (_place(row[0]), row[0], row[1]))
    vectors = seeds_shown(
        evidence.table("steering_vectors").filter(
            pl.col("family").is_in(["base", "base_plus_orthogonal"])
        )
    )
    return [
        Comparison(layer, environment, prompt, _arms(texts, vectors, layer, prompt_id))
        for layer in sorted(vectors["layer"].unique())
        for environment, prompt_id, prompt in prompts
    ]


def _arms(
    texts: pl.DataFrame, vectors: pl.DataFrame, layer: int, prompt_id: str
) -> tuple[tuple[str, Text | None], ...]:
    ids = dict(vectors.filter(pl.col("layer") == layer).select("family", "vector_id").rows())
    wanted = (
        ("unsteered", UNSTEERED),
        ("v", ids.get("base")),
        ("v + v⊥", ids.get("base_plus_orthogonal")),
    )
    return tuple((arm, _text(texts, arm, vector, prompt_id)) for arm, vector in wanted)


def _text(texts: pl.DataFrame, arm: str, vector_id: str | None, prompt_id: str) -> Text | None:
    found = texts.filter(pl.col("vector_id") == vector_id, pl.col("prompt_id") == prompt_id)
    if found.is_empty():
        return None
    row = found.row(0, named=True)
    text = row["text"]
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + " […]"
    return Text(arm, text, row["score"], row["finish_reason"])


def _place(environment: str) -> int:
    return ORDER.index(environment) if environment in ORDER else len(ORDER)
