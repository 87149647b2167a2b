"""What a chat template is given, as an input of artifacts made from rendered prompts.

The template itself is part of the snapshot. The date is an input only where the template prints
one, and thinking only where the model may have such a section, so artifacts of other models stay up
to date when these settings change.
"""

from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path

from steer_assets.catalog.studies import Study
from steer_assets.lm.thinking import KNOWN, declared
from steer_assets.pipeline.stage import Stage
from steer_assets.storage.files.file_stamp import Stamp, stamp
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.layout import Layout, PartitionKey
from steer_assets.storage.lineage import InputVersion

#: The function by which a template gets the current time.
_CALL = "strftime_now"
_TEMPLATES = ("*.jinja", "tokenizer_config.json", "additional_chat_templates/*.jinja")
#: Where the added tokens of a tokenizer are named, too.
_TOKENS = ("tokenizer.json",)
_MARKUP = frozenset(side for markup in KNOWN for side in (markup.opening, markup.closing))
#: Stages that score texts; `generations` does so in a study of several looks.
_READERS = ("classifier_scores", "fluency", "steering_calibration", "equivalence_reports")


def inputs(layout: Layout, stage: Stage, key: PartitionKey, study: Study) -> Iterator[InputVersion]:
    """The date and the settings of thinking, for stages whose results depend on them."""
    if not {"model", "trait"} <= set(key):
        return
    folder = layout.model(key["model"])
    renders = "pytorch" in stage.kinds
    if renders and writes_date(folder):
        yield InputVersion("study", "prompts.date", hash_json(study.prompts.date.isoformat()))
    if (renders or stage.name in _READERS) and may_think(folder):
        yield InputVersion("study", "thinking", hash_json(_thinking(folder, stage, study)))


def _thinking(folder: Path, stage: Stage, study: Study) -> list[object]:
    """Markup, what the template is given, and for stages that read texts, the part that is read."""
    looks = stage.name == "generations" and len(study.generation.looks) > 1
    reads = stage.name in _READERS or looks
    markup = declared(folder)
    return [
        [markup.opening, markup.closing] if markup else [],
        study.thinking.asked,
        study.thinking.scored if reads else "",
    ]


def writes_date(folder: Path) -> bool:
    """Whether the chat template of a snapshot prints the date."""
    return bool(_found(folder, _TEMPLATES, frozenset([_CALL])))


def may_think(folder: Path) -> bool:
    """Whether a snapshot's template or tokenizer know a section of thinking, or one is declared."""
    if declared(folder) is not None:
        return True
    found = _found(folder, (*_TEMPLATES, *_TOKENS), _MARKUP)
    return any({markup.opening, markup.closing} <= found for markup in KNOWN)


def _found(folder: Path, names: Collection[str], words: frozenset[str]) -> set[str]:
    """Those of `words` that occur in the files."""
    found: set[str] = set()
    for path in (path for name in names for path in folder.glob(name)):
        mark = stamp(path)
        found |= _in(path, words) if mark is None else _remembered(path, mark, words)
    return found


def _in(path: Path, words: frozenset[str]) -> frozenset[str]:
    text = path.read_bytes()
    return frozenset(word for word in words if word.encode() in text)


@lru_cache(maxsize=256)
def _remembered(path: Path, mark: Stamp, words: frozenset[str]) -> frozenset[str]:
    return _in(path, words)
