"""Scorers of a study: fitted once per trait and process."""

from functools import cache

from steer_assets.catalog import catalog
from steer_assets.catalog.studies import Study
from steer_assets.scoring.labelled import LabelledText, read_labelled
from steer_assets.storage.hashing import hash_file
from steer_assets.storage.layout import PartitionKey


def labelled_texts(trait: str) -> list[LabelledText]:
    """The labelled texts of a trait."""
    return read_labelled(catalog.labelled_path(trait))


def sources(key: PartitionKey, study: Study) -> dict[str, str]:
    """Versions of what a score depends on besides the text: labelled texts and encoder."""
    path = catalog.labelled_path(key["trait"])
    return {f"labelled/{path.name}": hash_file(path)}
