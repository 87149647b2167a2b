"""Catalog files that would fill the memory, never end or are no files: refused, not read."""

import os
from pathlib import Path

import pytest

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from tests.catalog.samples import TRAIT, change


def _room(user: Path, room: str, name: str) -> Path:
    path = user / room / name
    path.parent.mkdir(exist_ok=True)
    return path


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60)
)
#: Few bytes that stand for very many, and what is said of them.
BOMBS = {
    "a billion laughs": (LAUGHS, "names are not looked up"),
    "a billion merges": (MERGES, "names are not looked up"),
    "a number in base 60": ("trait: 1" + ":59" * 100_000, "a number or date of 300001 characters"),
    "a long number": ("trait: " + "9" * 100_000, "a number or date of 100000 characters"),
    "a large file": ("# " + "x" * (1 << 19), "524290 bytes; expected 524288 at most"),
}


@pytest.mark.parametrize("room", ["models", "traits", "studies", "scorers"])
@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.timeout(20)
def test_a_bomb_is_refused_and_not_set_off(user, room, bomb):
    content, said = BOMBS[bomb]
    _room(user, room, "brevity.yaml").write_text(content)
    read = {
        "models": catalog.model_entry,
        "traits": catalog.trait,
        "studies": catalog.study,
        "scorers": catalog.scorer_entry,
    }
    with pytest.raises(CatalogError, match=said):
        read[room]("brevity")


def test_an_alias_is_refused_with_its_line(user):
    text = change(TRAIT, "Describe a river.", "&river Describe a river.")
    text = change(text, "    - Explain inflation.", "    - *river")
    (user / "traits" / "brevity.yaml").write_text(text)
    with pytest.raises(CatalogError, match=r":17: \*river: names are not looked up"):
        catalog.trait("brevity")


@pytest.mark.parametrize("name", ["brevity.yaml", "brevity.csv", "brevity.jsonl", "brevity.json"])
@pytest.mark.timeout(20)
def test_what_is_no_file_is_not_waited_for(user, name):
    os.mkfifo(_room(user, "traits", name))
    with pytest.raises(CatalogError, match="cannot be read: it is no file"):
        catalog.trait("brevity")


@pytest.mark.parametrize("name", ["brevity.csv", "brevity.jsonl", "brevity.json"])
def test_a_file_without_end_is_refused(user, name):
    path = _room(user, "traits", name)
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a file with a hole: it takes no room here
    with pytest.raises(CatalogError, match="1099511627776 bytes; expected 16777216 at most"):
        catalog.trait("brevity")
