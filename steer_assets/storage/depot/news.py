"""What is new in a depot since a data folder last looked, from one listing of the journal.

A marker is written before its record, so no record is without one; a marker whose record is not
there (its writer is about to commit, or was killed) is looked at again for a week. Clocks of hosts
may differ by an hour.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from steer_assets.storage.depot.depot import Depot, Marker
from steer_assets.storage.depot.mirror import Arrived, Mirror, Wanted
from steer_assets.storage.depot.records import Artifact, artifact_of
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.layout import Layout

_CLOCKS_APART = timedelta(hours=1)
_WAITED_FOR = timedelta(days=7)
#: A sweep removes older markers; who has not looked for so long looks at all records.
KEPT = timedelta(days=60)
_TIME = "%Y%m%d/%H%M%S%f"


@dataclass
class _Place:
    """How far the journal of a depot was read."""

    address: str
    last: str = ""
    seen: list[str] = field(default_factory=list)
    waiting: dict[str, int] = field(default_factory=dict)


def _time(name: str) -> datetime:
    """When a marker was written, from its name; long ago for a name that is none."""
    try:
        words = name.removeprefix("journal/").partition("=")[0]
        return datetime.strptime(words, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def _since(last: str, apart: timedelta) -> str:
    """The name that a marker would have that was written so long before `last`."""
    return f"journal/{_time(last) - apart:{_TIME}}"


def catch_up(depot: Depot, layout: Layout, wanted: Wanted) -> dict[Artifact, Arrived]:
    """Bring what is new, with those of its files that are wanted; all, where it never looked."""
    place = _read(layout, depot.objects.address)
    mirror = Mirror(depot, layout)
    now = datetime.now(UTC)
    whole = not place.last or now - _time(place.last) > KEPT
    after = f"journal/{now - _CLOCKS_APART:{_TIME}}" if whole else _since(place.last, _CLOCKS_APART)
    known = set(place.seen)
    new = [marker for marker in depot.told(after) if marker.name not in known]
    artifacts = [marker.artifact for marker in new] + _artifacts(place.waiting)
    if whole:
        artifacts = depot.artifacts()
    arrived = mirror.bring_all(artifacts, wanted)
    _write(layout, _after(place, new, arrived, now, whole))
    return arrived


def _artifacts(names: Iterable[str]) -> list[Artifact]:
    return [artifact for name in names if (artifact := _marked(name)) is not None]


def _marked(name: str) -> Artifact | None:
    return artifact_of(name.rpartition("/")[2].split("=")[1:4])


def _after(
    place: _Place,
    new: list[Marker],
    arrived: dict[Artifact, Arrived],
    now: datetime,
    whole: bool,
) -> _Place:
    """The place after these markers: those whose record is not there yet wait."""
    waiting = {} if whole else dict(place.waiting)
    waiting |= {marker.name: marker.number for marker in new}
    still = {}
    for name, number in waiting.items():
        artifact = _marked(name)
        there = arrived.get(artifact) if artifact else None
        if now - _time(name) < _WAITED_FOR and (there is None or there.number < number):
            still[name] = number
    names = [*place.seen, *(marker.name for marker in new)]
    last = max([place.last, *names, f"journal/{now - _CLOCKS_APART:{_TIME}}"])
    until = _since(last, _CLOCKS_APART)
    return _Place(place.address, last, [name for name in names if name > until], still)


def _path(layout: Layout) -> Path:
    return layout.root / "depot" / "news.json"


def _read(layout: Layout, address: str) -> _Place:
    try:
        place = _Place(**json.loads(_path(layout).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return _Place(address)
    return place if place.address == address else _Place(address)


def _write(layout: Layout, place: _Place) -> None:
    write_text(_path(layout), json.dumps(vars(place), indent=1))


def forget(layout: Layout) -> None:
    """The next `catch_up` looks at all records."""
    _path(layout).unlink(missing_ok=True)
