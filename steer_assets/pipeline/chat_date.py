"""The pinned date of chat templates as an input of artifacts made from rendered prompts.

The template itself is part of the snapshot. The date is an input only where the template prints
one, so artifacts of other models stay up to date when the date changes.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from steer_assets.catalog.studies import Study
from steer_assets.pipeline.stage import Stage
from steer_assets.storage.files.file_stamp import Stamp, stamp
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.layout import Layout, PartitionKey
from steer_assets.storage.lineage import InputVersion

#: The function by which a template gets the current time.
_CALL = b"strftime_now"
_FILES = ("*.jinja", "tokenizer_config.json", "additional_chat_templates/*.jinja")


def inputs(layout: Layout, stage: Stage, key: PartitionKey, study: Study) -> Iterator[InputVersion]:
    """The date, for stages that render prompts for a model whose template prints it."""
    shows_prompts = "pytorch" in stage.kinds and {"model", "trait"} <= set(key)
    if shows_prompts and writes_date(layout.model(key["model"])):
        yield InputVersion("study", "prompts.date", hash_json(study.prompts.date.isoformat()))


def writes_date(folder: Path) -> bool:
    """Whether the chat template of a snapshot prints the date."""
    return any(_asks(path) for name in _FILES for path in folder.glob(name))


def _asks(path: Path) -> bool:
    mark = stamp(path)
    return _CALL in path.read_bytes() if mark is None else _remembered(path, mark)


@lru_cache(maxsize=256)
def _remembered(path: Path, mark: Stamp) -> bool:
    return _CALL in path.read_bytes()
