"""Scorers of a study, fitted once per trait and process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import UnknownNameError
from steer_assets.catalog.studies import Study
from steer_assets.scoring.labelled import LabelledText, read_labelled
from steer_assets.storage.hashing import hash_file
from steer_assets.storage.layout import PartitionKey

if TYPE_CHECKING:
    from steer_assets.scoring.encoder import MiniLMEncoder
    from steer_assets.scoring.protocol import Scorer


@cache
def _encoder() -> MiniLMEncoder:
    from steer_assets.scoring.encoder import MiniLMEncoder

    return MiniLMEncoder.load()


def encoder() -> MiniLMEncoder:
    """The embedded sentence encoder, loaded once per process."""
    return _encoder()


def labelled_texts(trait: str) -> list[LabelledText]:
    """The labelled texts of a trait."""
    return read_labelled(catalog.labelled_path(trait))


@cache
def _minilm(trait: str, labelled_version: str) -> Scorer:
    from steer_assets.scoring.minilm import fit_minilm

    return fit_minilm(trait, labelled_texts(trait), encoder())


def scorer(name: str, trait: str) -> Scorer:
    """A scorer by name, fitted for a trait.

    Raises:
        UnknownNameError: there is no such scorer.
    """
    if name != "minilm":
        raise UnknownNameError("scorer", name, ["minilm"])
    return _minilm(trait, hash_file(catalog.labelled_path(trait)))


def sources(key: PartitionKey, study: Study) -> dict[str, str]:
    """Versions of what a score depends on besides the text."""
    path = catalog.labelled_path(key["trait"])
    return {f"labelled/{path.name}": hash_file(path)}
