"""The sections of a report: headings, their leads, and their figures in order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts import (
    calibration,
    doses,
    effects,
    environments,
    fluency,
    forest,
    heterogeneity,
    logits,
    nullspaces,
    protocols,
    scorers,
    spectra,
    stability,
    texts,
)
from steer_assets.reporting.figures.figure import Absent, Figure

Chart = Callable[[Evidence], Figure | Absent]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with its lead and its figures."""

    anchor: str
    title: str
    lead: str
    charts: tuple[Chart, ...]


SECTIONS = (
    Section(
        "calibration",
        "Where does v steer?",
        "At which block and how strongly v is added is chosen, or given, before anything is "
        "compared, on prompts of their own.",
        (calibration.calibration,),
    ),
    Section(
        "efficacy",
        "Does v steer at all?",
        "Before two vectors can act alike, one of them has to act. Effects are measured against "
        "unsteered texts of the same prompts.",
        (effects.efficacy_over_layers, effects.alpha_curves),
    ),
    Section(
        "families",
        "Do other vectors act like v?",
        "Every arm saw the same prompts and the same random numbers, so each is compared with v "
        "prompt by prompt.",
        (forest.forest,),
    ),
    Section(
        "prompts",
        "Does it hold for other prompts?",
        "A mean over prompts can hide prompts that respond in opposite ways.",
        (environments.environments, environments.heterogeneity, heterogeneity.spread),
    ),
    Section(
        "logits",
        "What happens to the next token?",
        "Distances between next-token distributions need no sampling and no scorer: they see "
        "changes that the trait score does not.",
        (logits.dose_response, doses.around_v, doses.radii, logits.prediction),
    ),
    Section(
        "observers",
        "Can any observer tell the texts apart?",
        "A trait score is one number of a text. The exact probability of every text under both "
        "arms shows what the best possible observer could see, and bounds what any scorer could.",
        (texts.observers, texts.law),
    ),
    Section(
        "geometry",
        "How large is the null space?",
        "Two different questions: where activations lie (covariance), and which directions the "
        "output ignores (Jacobian and Fisher forms).",
        (
            nullspaces.null_fraction,
            nullspaces.null_energy,
            spectra.covariance,
            spectra.behaviour,
            stability.saturation,
            stability.persistence,
        ),
    ),
    Section(
        "scorers",
        "Can the scorer be believed?",
        "Every verdict rests on a scorer of texts; one that cannot tell the poles apart can carry "
        "no claim.",
        (scorers.validation, scorers.agreement),
    ),
    Section(
        "fluency",
        "Are the texts still language?",
        "A vector that breaks the model moves every score. Arms whose texts are broken are never "
        "called equivalent.",
        (fluency.fluency,),
    ),
)
#: Placed after the texts, next to the sentences that it illustrates.
PROTOCOLS: Chart = protocols.protocols


def every_chart() -> Iterator[Chart]:
    """All figures of a report, in order."""
    for section in SECTIONS:
        yield from section.charts
    yield PROTOCOLS
