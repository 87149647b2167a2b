"""Objects that nothing refers to, found by listing a depot.

A blob is kept if it is younger than a week, because its record may be about to be committed, or if
it is named by the newest record of an artifact, by a record younger than a week, or by the newest
version of a carried file. Records are kept for ever, as in lineage.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from steer_assets.storage.depot.carried import referenced
from steer_assets.storage.depot.depot import Depot, blob
from steer_assets.storage.depot.news import KEPT
from steer_assets.storage.depot.objects import Found
from steer_assets.storage.depot.records import Artifact, artifact_of

#: Longer than any run between its first file and its record.
SETTLED_S = 7 * 86_400.0
_AT_ONCE = 8


def find(depot: Depot) -> list[tuple[Found, str]]:
    """Objects that can be removed, each with the reason.

    Raises:
        DepotError: a record cannot be read, so what it refers to is unknown.
    """
    until = time.time() - SETTLED_S
    # Before the records: of what is committed in the meantime nothing is in this list.
    blobs = [found for found in depot.objects.list("blobs/") if found.written < until]
    named = _named(depot, until) | referenced(depot) if blobs else set()
    waste = [(found, "no record names it") for found in blobs if found.name not in named]
    for found in depot.objects.list("partial/"):
        if found.written < until:
            waste.append((found, "a piece that is a week old"))
    read = time.time() - KEPT.total_seconds()
    for found in depot.objects.list("journal/"):
        if found.written < read:
            waste.append((found, "news that are two months old"))
    return waste


def _named(depot: Depot, until: float) -> set[str]:
    """Blobs of the records that count."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        records = pool.map(lambda one: depot.record(*one), list(_counting(depot, until)))
        return {blob(file.sha256) for record in records for file in record.files}


def _counting(depot: Depot, until: float) -> Iterator[tuple[Artifact, int]]:
    """The newest record of every artifact, and all younger than `until`."""
    newest: dict[Artifact, int] = {}
    for found in depot.objects.list("lineage/"):
        _, *words, end = found.name.split("/")
        artifact = artifact_of(words)
        if artifact is None or not end.isdigit():
            continue
        newest[artifact] = max(int(end), newest.get(artifact, 0))
        if found.written >= until:
            yield artifact, int(end)
    yield from newest.items()


def remove(depot: Depot, waste: Found) -> bool:
    """Remove an object that was found, unless it was written again since."""
    now = depot.objects.find(waste.name)
    if now is None or now.written > waste.written:
        return False
    depot.objects.delete(waste.name)
    return True
