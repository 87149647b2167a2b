"""The report of one model and trait: one self-contained page."""

import json
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from steer_assets.catalog.scorer_entries import NO_SCORER
from steer_assets.catalog.sections.generation import Scope
from steer_assets.reporting import thinking_text
from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts.axes import listed
from steer_assets.reporting.figures.charts.protocols import findings, survival, switch_rows
from steer_assets.reporting.figures.figure import Absent, Figure
from steer_assets.reporting.pages.page import environment, policy
from steer_assets.reporting.pages.samples import side_by_side
from steer_assets.reporting.pages.sections import PROTOCOLS, SECTIONS, Section
from steer_assets.reporting.tables.formats import format_table
from steer_assets.reporting.verdict_text import MEANINGS, headline, layer_verdicts, percent

_LONGEST_TABLE = 60  # rows of figure data repeated on a page; longer tables are only in the CSV


@dataclass(frozen=True)
class Report:
    """A page and the figures on it."""

    html: str
    figures: list[Figure]


@dataclass(frozen=True, slots=True)
class _Block:
    """One figure, as passed to the template."""

    name: str
    title: str
    figure: Figure | None
    reason: str
    svg: Markup
    table: Markup


def render_report(evidence: Evidence) -> Report:
    """Page and figures; the same evidence gives the same bytes.

    Raises:
        SchemaError: a table does not have the columns of its schema.
    """
    sections = [(section, _blocks(section, evidence)) for section in SECTIONS]
    published = _block(PROTOCOLS(evidence))
    html = (
        environment()
        .get_template("report.html.j2")
        .render(
            evidence=evidence,
            policy=policy(),
            headline=headline(evidence),
            verdicts=layer_verdicts(evidence),
            meanings=MEANINGS,
            facts=_facts(evidence),
            sections=sections,
            samples=side_by_side(evidence),
            protocols=_protocols(evidence),
            published=published,
            survival=survival(evidence),
            findings=findings(evidence),
            switches=_switches(evidence),
            provenance=evidence.provenance,
            study=json.dumps(evidence.study, indent=2, ensure_ascii=False),
            missing=_missing(evidence),
        )
    )
    blocks = [*(block for _, own in sections for block in own), published]
    figures = [block.figure for block in blocks if block.figure is not None]
    return Report(html, figures)


def _blocks(section: Section, evidence: Evidence) -> list[_Block]:
    return [_block(chart(evidence)) for chart in section.charts]


def _block(drawn: Figure | Absent) -> _Block:
    if isinstance(drawn, Absent):
        return _Block(drawn.name, drawn.title, None, drawn.reason, Markup(), Markup())
    table = format_table(drawn.data, "html") if drawn.data.height <= _LONGEST_TABLE else ""
    # Safe: this package makes both from escaped text.
    return _Block(drawn.name, drawn.title, drawn, "", Markup(drawn.svg), Markup(table))


def _switches(evidence: Evidence) -> Markup:
    """Numbers of every conclusion with each switch off separately, as a table; may be empty."""
    rows = switch_rows(evidence).drop("conclusion", "quantity")
    return Markup("" if rows.is_empty() else format_table(rows, "html"))


def _facts(evidence: Evidence) -> list[tuple[str, str]]:
    """The study's settings, as pairs of term and text."""
    study = evidence.study
    generation, statistics = study["generation"], study["statistics"]
    alphas = sorted({a for arms in generation["arms"] for a in arms["alphas"]})
    prompts = ", ".join(
        f"{evidence.used_prompts('test', n, kind)} {kind.replace('_', ' ')}"
        for kind, n in study["prompts"]["test"].items()
    )
    pairs = evidence.used_prompts("contrast", study["prompts"]["contrast_pairs"])
    return [
        ("Question", "Is v the direction that moves the trait, or one of many that act the same?"),
        ("Model", _model(evidence)),
        ("Trait", f"{evidence.trait_title}: {evidence.poles[0]} against {evidence.poles[1]}"),
        ("v", f"mean difference of {pairs} contrast pairs at the last prompt token, added "
         f"{Scope.model_validate(generation.get('scope', {})).words}"),
        ("v⊥", "random direction at right angles to v, as long as v"),
        ("Layers", _layers(evidence)),
        ("Doses α", ", ".join(f"{a:g}" for a in alphas)),
        ("Test prompts", prompts),
        ("Texts", f"{generation['samples']} per prompt and arm, up to "
         f"{generation['max_new_tokens']} tokens, temperature {generation['temperature']:g}"),
        *([("Thinking", thinking)] if (thinking := thinking_text.fact(evidence)) else []),
        ("Looks", _looks(generation["looks"], generation.get("extra", 1.0))),
        ("Scorer", _scorers(evidence)),
        ("Common random numbers", _noise(evidence)),
        ("Margins", f"±{statistics['margin_sd']:g} SD, standard deviations of one unsteered text's "
         "score, the unit of every effect on this page; beside it "
         f"{100 * statistics['margin_efficacy']:g}% of v's own effect"),
        ("Tests", "two one-sided tests and a test of difference over prompts, in one order: v + v⊥ "
         "with all its seeds, its doses and environments, then the other vectors; Holm's "
         f"adjustment at each step, level {statistics['significance']:g}"),
        ("Study", f"{study['study']}, root seed {study['seed']}"),
    ]  # fmt: skip


def _layers(evidence: Evidence) -> str:
    found = ", ".join(f"{block}" for block in evidence.steered_layers)
    asked = ", ".join(map(str, evidence.study["layers"]["steer"]))
    return f"{found} (block outputs)" if found else f"{asked}, of a model of unknown depth"


_EXTRA = (
    "; what this saves goes to comparisons that are open at the last, as further texts, which "
    "count in p-values and not in effects"
)


def _looks(shares: list[float], extra: float) -> str:
    """After which shares of the prompts comparisons are tested, and who has what this saves."""
    if len(shares) == 1:
        return "one, of all texts"
    return (
        f"after {listed([percent(share) for share in shares])} of the prompts; a comparison with v "
        "that is decided, or hopeless, gets no more texts, and p-values are sequential ones"
        + (_EXTRA if extra > 1 else "")
    )


def _scorers(evidence: Evidence) -> str:
    first, silent = evidence.scorer, evidence.silent_scorers
    if first == NO_SCORER:
        return f"none; not available here: {listed(evidence.study['scoring']['scorers'])}"
    others = [
        str(name)
        for name in evidence.study["scoring"]["scorers"]
        if name != first and name not in silent
    ]
    words = f"{first} decides" if others or silent else first
    beside = f"; beside it {listed(others)}" if others else ""
    return words + beside + (f"; not available here: {listed(silent)}" if silent else "")


def _noise(evidence: Evidence) -> str:
    """Variance reduction by pairing, for the noise of v over unsteered."""
    own = evidence.deciding("sampling_noise").filter(
        pl.col("comparison") == "efficacy", pl.col("family") == "base", evidence.at_headline_dose
    )
    words = "every arm sees the same, position by position"
    if own.is_empty():
        return f"{words}; what they are worth needs two samples of a prompt to be measured"
    shares = [
        f"{percent(r['ratio'])} [{percent(r['low'])}, {percent(r['high'])}] at layer {r['layer']}"
        for r in own.sort("layer").iter_rows(named=True)
    ]
    return (
        f"{words}; within a prompt, the variance of v over unsteered is {listed(shares)} of what "
        "independent samples would give"
    )


def _model(evidence: Evidence) -> str:
    rows = evidence.table("models")
    if rows.is_empty():
        return f"{evidence.model_title}; no row of its snapshot is stored"
    m = rows.row(0, named=True)
    size = f"{m['n_parameters'] / 1e6:,.0f} million parameters"
    return (
        f"{evidence.model_title}: {m['architecture']}, {size}, {m['n_layers']} blocks of width "
        f"{m['hidden_size']}, {m['dtype']}"
    )


def _protocols(evidence: Evidence) -> pl.DataFrame:
    return (
        evidence.table("equivalence_reports")
        .select(
            "protocol", "scorer", "layer", "verdict", "efficacy", "efficacy_low", "efficacy_high",
            "look", "n_texts",
            "n_equivalent", "n_different", "n_inconclusive", "n_untestable", "reason",
        )
        .sort("protocol", "scorer", "layer")
    )  # fmt: skip


_NEEDED = (
    "models", "equivalence_reports", "equivalence_tests", "steering_vectors", "logit_distances",
    "svd_spectra", "behavioral_spectra", "null_spaces", "scorer_validation", "generations",
    "classifier_scores",
)  # fmt: skip


def _missing(evidence: Evidence) -> list[str]:
    """Sentences on what the report lacks."""
    notes = [f"The table {t} has no rows." for t in _NEEDED if evidence.table(t).is_empty()]
    notes += [
        f"The scorer {name} of the study scored no text: its model could not be had here, or it "
        "does not score this trait; the log of the run says which."
        for name in evidence.silent_scorers
    ]
    notes += thinking_text.unscored(evidence)
    told = set(evidence.reports["layer"])
    if told:
        absent = [layer for layer in evidence.steered_layers if layer not in told]
        notes += [f"Layer {layer} has no verdict." for layer in absent]
    return notes
