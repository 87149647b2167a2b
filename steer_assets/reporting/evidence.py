"""The evidence of a report: the rows of one model and trait, and their provenance."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import polars as pl

from steer_assets.catalog.scorer_entries import NO_SCORER
from steer_assets.geometry.vector_ids import NONE_ID
from steer_assets.storage import schema

POOLED = "pooled"
UNSTEERED = NONE_ID
_FRACTION = re.compile(r"(\d*)L(?:/(\d+))?")


@dataclass(frozen=True)
class Evidence:
    """Rows of the warehouse for one model and trait.

    tables: frames by table name, filtered to the partition; one may be empty or missing.
    study: the whole study as plain values (`Study.model_dump(mode="json")`).
    poles: names of the positive and of the negative pole.
    provenance: columns artifact, data_version, code_version, inputs.
    command: the command that reproduces this report.
    versions: package name -> version.
    """

    model: str
    trait: str
    study: dict[str, Any]
    tables: Mapping[str, pl.DataFrame]
    trait_title: str
    poles: tuple[str, str]
    model_title: str
    provenance: pl.DataFrame
    command: str
    versions: dict[str, str]

    def table(self, name: str) -> pl.DataFrame:
        """Rows of `name` in the warehouse's schema; empty if the table is missing.

        Raises:
            SchemaError: the frame does not have the columns of its table.
        """
        frame = self.tables.get(name)
        if frame is None:
            return pl.DataFrame(schema=schema.columns(name))
        return schema.conform(frame, name)

    @property
    def scorer(self) -> str:
        """The deciding scorer: the first of the study that was available, or `none`."""
        asked = [str(name) for name in self.study["scoring"]["scorers"]]
        told = set(self.table("equivalence_reports")["scorer"])
        known = (*asked, NO_SCORER)
        return next((name for name in known if name in told), asked[0])

    def used_prompts(self, role: str, asked: int, environment: str | None = None) -> int:
        """Number of prompts of a role, pairs counted once: those asked for, or all there are."""
        own = self.table("prompt_sets").filter(
            pl.col("role") == role, pl.col("polarity") != "negative"
        )
        if own.is_empty():  # the prompts are not at hand
            return asked
        there = own if environment is None else own.filter(pl.col("environment") == environment)
        return min(asked, len(there))

    @property
    def silent_scorers(self) -> list[str]:
        """Scorers of the study that scored no text here."""
        heard = set(self.table("classifier_scores")["scorer"])
        return [str(n) for n in self.study["scoring"]["scorers"] if heard and n not in heard]

    @property
    def margin(self) -> float:
        """Equivalence margin in standard deviations of the score."""
        return float(self.study["statistics"]["margin_sd"])

    @property
    def confidence(self) -> str:
        """Coverage of the intervals as text: `95%`."""
        return f"{100 * float(self.study['statistics']['confidence']):g}%"

    @property
    def n_layers(self) -> int | None:
        """Number of blocks of the model, if the snapshot is known."""
        models = self.table("models")
        return None if models.is_empty() else int(models["n_layers"][0])

    @property
    def steered_layers(self) -> list[int]:
        """Blocks that the study steers, and those that occur in the rows."""
        asked = self._asked("steer")
        present = self.table("equivalence_reports")["layer"].to_list()
        return sorted({*asked, *present})

    @property
    def measured_layers(self) -> list[int]:
        """Blocks whose spectra the study measures, and those that occur in the rows."""
        asked = self._asked("geometry") + self._asked("steer")
        return sorted({*asked, *self.table("null_spaces")["layer"].to_list()})

    def _asked(self, which: str) -> list[int]:
        return [b for n in self.study["layers"][which] if (b := self._block(n)) is not None]

    def _block(self, name: int | str) -> int | None:
        """`L/2` of 30 blocks is block 15; unknown without the model."""
        if isinstance(name, int):
            return name
        match = _FRACTION.fullmatch(name)
        if match is None or self.n_layers is None:
            return None
        return int(Fraction(int(match[1] or 1) * self.n_layers, int(match[2] or 1)))

    @property
    def reports(self) -> pl.DataFrame:
        """Verdict rows of the deciding scorer under the controlled protocol, by layer."""
        return self.deciding("equivalence_reports").sort("layer")

    def deciding(self, name: str) -> pl.DataFrame:
        """Rows of a table for the deciding scorer under the controlled protocol."""
        return self.table(name).filter(
            pl.col("protocol") == "controlled", pl.col("scorer") == self.scorer
        )

    def tests(self, comparison: str, margin_kind: str = "sd") -> pl.DataFrame:
        """Comparisons by the deciding scorer, with columns in standard deviations of the score.

        Adds `effect_sd`, `low_sd`, `high_sd` and `margin_in_sd`. The standard deviation is that of
        one unsteered text's score in the environment, `unit_sd`, which is the same for all
        comparisons.
        """
        return (
            self.deciding("equivalence_tests")
            .filter(pl.col("comparison") == comparison, pl.col("margin_kind") == margin_kind)
            .with_columns(
                unit="unit_sd",
                effect_sd="cohens_d",
                low_sd="d_low",
                high_sd="d_high",
                margin_in_sd=pl.col("margin") / pl.col("unit_sd"),
            )
            .sort("layer", "family", "vector_id", "alpha", "environment")
        )

    @property
    def families(self) -> pl.DataFrame:
        """Results of all seeds of a family against v, pooled, at the headline dose."""
        return (
            self.deciding("family_tests")
            .filter(
                pl.col("margin_kind") == "sd",
                pl.col("environment") == POOLED,
                self.at_headline_dose,
            )
            .sort("layer", "family", "null_space")
        )

    @property
    def headline_alpha(self) -> float | None:
        """The dose of the verdicts: 1 where it was run, else the one with most comparisons."""
        doses = self._compared_doses()
        return None if doses.is_empty() else _foremost(doses["alpha"])

    @property
    def headline_alphas(self) -> list[float]:
        """The dose of the verdicts, or that of every layer where no layer shares it with another.

        So it is where each block has its own dose of equal divergence.
        """
        doses, one = self._compared_doses(), self.headline_alpha
        if one is None:
            return []
        own = [part["alpha"] for _, part in doses.group_by("layer", maintain_order=True)]
        if all((alphas == one).any() for alphas in own):
            return [one]
        return sorted({_foremost(alphas) for alphas in own})

    def _compared_doses(self) -> pl.DataFrame:
        """Layer and alpha of every pooled comparison with v, or else with unsteered."""
        for comparison in ("against_base", "efficacy"):
            rows = self.tests(comparison).filter(pl.col("environment") == POOLED)
            if not rows.is_empty():
                break
        return rows.select("layer", "alpha")

    @property
    def headline_doses(self) -> str:
        """The dose of the verdicts in words: `α = 1`, or `α = 2.1 or 3.4, by layer`."""
        alphas = [f"{alpha:g}" for alpha in self.headline_alphas]
        return f"α = {' or '.join(alphas)}{', by layer' if len(alphas) > 1 else ''}"

    @property
    def at_headline_dose(self) -> pl.Expr:
        """Selects the rows of the headline dose; none where there is no such dose."""
        return pl.col("alpha").is_in(self.headline_alphas)


def _foremost(alphas: pl.Series) -> float:
    """1 where it is among them, else the most frequent, the smallest of these."""
    if (alphas == 1.0).any():
        return 1.0
    counts = alphas.value_counts().sort(["count", "alpha"], descending=[True, False])
    return float(counts["alpha"][0])


def seeds_shown(rows: pl.DataFrame) -> pl.DataFrame:
    """First vector of every layer and family, as the example for all seeds."""
    return rows.sort("layer", "family", "vector_id").unique(
        ["layer", "family"], keep="first", maintain_order=True
    )
