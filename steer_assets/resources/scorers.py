"""Scorers of a study by name, made once per trait and process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import NoLabelledTextsError
from steer_assets.catalog.scorer_entries import FITTED, ScorerEntry
from steer_assets.catalog.studies import Study
from steer_assets.resources import scorer_heads
from steer_assets.scoring.lexicon import PACKAGE as LEXICON
from steer_assets.scoring.scorer import Scorer, ScorerUnavailable
from steer_assets.storage.files.hashing import fingerprint, hash_file, hash_json
from steer_assets.storage.layout import Layout, PartitionKey

if TYPE_CHECKING:
    from steer_assets.scoring.registry import Judge, ScorerSpec

JUDGE = "lm_judge"


def spec(entry: ScorerEntry, trait: str) -> ScorerSpec:
    """The registry's specification of a scorer.

    Raises:
        ScorerUnavailable: the scorer does not score this trait.
        ValueError: the entry lacks a field that its kind requires.
    """
    from steer_assets.scoring.registry import ScorerSpec

    use = entry.use(trait)
    if use is None:
        raise ScorerUnavailable(f"scorer {entry.scorer} does not score {trait}")
    return ScorerSpec(
        kind=entry.kind,
        name=entry.scorer,
        model_id=entry.model_id,
        revision=entry.revision,
        label_map=use.label_map,
        positive=use.positive,
        negative=use.negative,
    )


@cache
def _made(name: str, trait: str, folder: Path, made_of: str) -> Scorer:
    from steer_assets.scoring.registry import make_scorer

    asked = spec(catalog.scorer_entry(name), trait)
    if asked.kind == "minilm":
        return scorer_heads.minilm(asked.name, trait, Layout(folder))
    labelled = scorer_heads.labelled_texts(trait) if asked.kind in FITTED else ()
    return make_scorer(asked, labelled)


def scorer(name: str, trait: str, layout: Layout, judge: Judge | None = None) -> Scorer:
    """A scorer by name, for a trait; heads fitted for it are stored in the data folder.

    Raises:
        UnknownNameError: there is no such scorer.
        ScorerUnavailable: it does not score this trait, or its model is not installed.
    """
    from steer_assets.scoring.registry import make_scorer

    entry = catalog.scorer_entry(name)
    if entry.kind == JUDGE:
        return make_scorer(spec(entry, trait), judge=judge)
    made_of = hash_json({**_versions(name, trait), **_labelled_version(trait)})
    return _made(name, trait, layout.root, made_of)


def available(
    names: tuple[str, ...],
    trait: str,
    layout: Layout,
    log: logging.Logger,
    judge: Judge | None = None,
) -> list[Scorer]:
    """The scorers that can be built on this machine and validated; the log names the others.

    None without labelled texts of the trait: a score that was never validated supports no claim.
    """
    return list(_each(names, trait, layout, log, judge))


def first(
    names: tuple[str, ...],
    trait: str,
    layout: Layout,
    log: logging.Logger,
    judge: Judge | None = None,
) -> Scorer | None:
    """The first of those that `available` returns, without building the others."""
    return next(_each(names, trait, layout, log, judge), None)


def _each(
    names: tuple[str, ...],
    trait: str,
    layout: Layout,
    log: logging.Logger,
    judge: Judge | None,
) -> Iterator[Scorer]:
    try:
        catalog.labelled_path(trait)
    except NoLabelledTextsError as error:
        log.warning(f"goes on without scores: {error}")
        return
    for name in names:
        try:
            found = scorer(name, trait, layout, judge)
            entry = catalog.scorer_entry(name)
            if entry.drifts:
                log.warning(
                    f"scorer {name}: {entry.model_id} is not pinned to a "
                    "commit, so it may answer otherwise tomorrow: give its entry a `revision`"
                )
        except ScorerUnavailable as error:
            log.warning(f"goes on without scorer {name}: {error}")
            continue
        yield found


def judges(names: tuple[str, ...]) -> tuple[str, ...]:
    """The scorers that prompt the language model of the partition."""
    return tuple(name for name in names if catalog.scorer_entry(name).kind == JUDGE)


def readers(names: tuple[str, ...]) -> tuple[str, ...]:
    """The scorers that read a text by themselves, without the language model."""
    return tuple(name for name in names if catalog.scorer_entry(name).kind != JUDGE)


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _versions(name: str, trait: str) -> dict[str, str]:
    entry = catalog.scorer_entry(name)
    versions = {f"scorer/{name}": hash_json(entry.model_dump(mode="json"))}
    if entry.kind == "minilm":
        versions["encoder"] = scorer_heads.encoder_version()
        versions[f"anchors/{trait}"] = scorer_heads.anchors_version(trait)
    elif entry.kind == "words":
        versions["scikit-learn"] = version("scikit-learn")
    elif entry.kind == "lexicon":
        versions["lexicon"] = _installed(LEXICON)
    elif entry.model_id and entry.folder.is_dir():
        versions[f"weights/{name}"] = fingerprint(entry.folder)
    return versions


def sources(key: PartitionKey, study: Study) -> dict[str, str]:
    """Versions of everything a score depends on besides the text."""
    versions: dict[str, str] = {}
    for name in study.scoring.scorers:
        versions |= _versions(name, key["trait"])
    return {
        **versions,
        **_labelled_version(key["trait"]),  # scorers are validated on these texts
        "code/scoring": scorer_heads.scoring_code(),
    }


def _labelled_version(trait: str) -> dict[str, str]:
    try:
        path = catalog.labelled_path(trait)
    except NoLabelledTextsError:
        return {f"labelled/{trait}.jsonl": "absent"}
    return {f"labelled/{path.name}": hash_file(path)}
