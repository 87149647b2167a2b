"""Heads of the embedded encoder: fitted once, stored in the data folder.

Fitting encodes about a thousand labelled texts and takes longer than scoring as many. A head is
stored with a hash of everything it was fitted from; if the hash no longer matches or the file is
damaged, the head is fitted again and the file overwritten.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from steer_assets.catalog import catalog
from steer_assets.paths import PACKAGE
from steer_assets.scoring.labelled import LabelledText, read_labelled
from steer_assets.scoring.scorer import ScorerUnavailable
from steer_assets.storage.files.hashing import hash_file, hash_json
from steer_assets.storage.files.parquet import DamagedFileError
from steer_assets.storage.files.tensors import read_described, write_vectors
from steer_assets.storage.layout import Layout

if TYPE_CHECKING:
    from steer_assets.scoring.embedded.encoder import MiniLMEncoder
    from steer_assets.scoring.embedded.minilm import MiniLMScorer

#: Libraries whose numerics affect a head.
_LIBRARIES = ("numpy", "scikit-learn", "scipy", "tokenizers", "torch")
_log = logging.getLogger(__name__)


@cache
def encoder() -> MiniLMEncoder:
    """The embedded sentence encoder, loaded once per process."""
    from steer_assets.scoring.embedded.encoder import MiniLMEncoder

    return MiniLMEncoder.load()


@cache
def _content(path: Path, size: int, _changed_ns: int) -> str:
    return hash_file(path)


def encoder_version() -> str:
    """Hash of what embeddings depend on: packaged weights, configuration and tokenizer.

    A file is read once per process, and again if its size or time changes; if the package is not
    installed, the result is a constant.
    """
    from steer_assets.scoring.embedded.encoder import FILES, package_folder

    try:
        folder = package_folder()
    except ScorerUnavailable:
        return "absent"
    stats = {folder / name: (folder / name).stat() for name in FILES}
    return hash_json(
        {path.name: _content(path, s.st_size, s.st_mtime_ns) for path, s in stats.items()}
    )


def anchors_version(trait: str) -> str:
    """Hash of the anchors of a trait; the hash of an empty value if it has none."""
    from steer_assets.scoring.embedded.anchors import ANCHORS

    found = ANCHORS.get(trait)
    return hash_json([found.positive, found.negative] if found else [])


@cache
def scoring_code() -> str:
    """Hash of the scoring library's code; anchors, which are data, have a separate hash."""
    from steer_assets.storage.files.source_code import code_hash

    sources = sorted((PACKAGE / "scoring").rglob("*.py"))
    return code_hash(path for path in sources if not path.stem.startswith("anchor"))


def labelled_texts(trait: str) -> list[LabelledText]:
    """The labelled texts of a trait."""
    return read_labelled(catalog.labelled_path(trait))


def minilm(name: str, trait: str, layout: Layout) -> MiniLMScorer:
    """The `minilm` scorer of a trait, from its stored head if that is current.

    Raises:
        ScorerUnavailable: the encoder is not installed.
        ValueError: the labelled texts lack a pole.
    """
    from steer_assets.scoring.embedded.minilm import fit_minilm

    made_of = _made_of(trait)
    if (stored := _stored(name, trait, layout, made_of)) is not None:
        return stored
    fitted = fit_minilm(trait, labelled_texts(trait), encoder(), name=name)
    try:
        write_vectors(layout.head(trait), fitted.state, {"made_of": made_of})
    except OSError as error:  # a full disk or a read-only folder does not prevent scoring
        _log.warning(f"the head of {trait} is not kept: {error}")
    return fitted


def _made_of(trait: str) -> str:
    return hash_json(
        {
            "trait": trait,
            "labelled": hash_file(catalog.labelled_path(trait)),
            "encoder": encoder_version(),
            "anchors": anchors_version(trait),
            "code": scoring_code(),
            "libraries": {library: version(library) for library in _LIBRARIES},
        }
    )


def _stored(name: str, trait: str, layout: Layout, made_of: str) -> MiniLMScorer | None:
    from steer_assets.scoring.embedded.minilm import MiniLMScorer

    path = layout.head(trait)
    try:
        state, about = read_described(path)
        if about != {"made_of": made_of}:
            return None
        return MiniLMScorer.from_state(trait, labelled_texts(trait), encoder(), state, name=name)
    except FileNotFoundError:
        return None
    except (DamagedFileError, PermissionError, ValueError) as error:
        _log.warning(f"the head of {trait} is fitted anew: {error}")
        return None
