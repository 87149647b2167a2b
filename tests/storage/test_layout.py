import re
import string
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from steer_assets.storage.layout import Layout, partition_name
from steer_assets.storage.slugs import InvalidKeyError, slug_of_hub_id, validate_slug

GRAMMAR = re.compile(r"\A[a-z0-9][a-z0-9._-]{0,79}\Z")  # SPEC 2, besides the ban on ".."
ALLOWED = string.ascii_lowercase + string.digits + "._-"
KEYS = st.text(ALLOWED, max_size=90) | st.text(max_size=20)
HOSTILE = [
    "",
    "..",
    "a..b",
    ".hidden",
    "-flag",
    "_x",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "a b",
    "a|b",
    "a,b",
    "a=b",
    "a'b",
    'a"b',
    "a;drop table models",
    "a\n",
    "\na",
    "a\x00",
    "a\x1b[31m",
    "A",
    "é",
    "а",  # Cyrillic
    "a" * 81,
    "٣",  # a digit elsewhere
]


def allowed(key: str) -> bool:
    return GRAMMAR.match(key) is not None and ".." not in key


@settings(max_examples=400, deadline=None)
@given(KEYS)
@example("a" * 80)
@example("0")
@example("a.")
def test_exactly_the_keys_of_the_grammar_are_accepted(key):
    if allowed(key):
        assert validate_slug(key) == key
    else:
        with pytest.raises(InvalidKeyError):
            validate_slug(key)


@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_keys_become_no_path(key):
    layout = Layout(Path("/data"))
    ways = [
        lambda: layout.model(key),
        lambda: layout.pair_file("vectors", key, "formality", ".safetensors"),
        lambda: layout.pair_file("vectors", "toy", key, ".safetensors"),
        lambda: layout.part("null_spaces", {"model": "toy", "trait": key}),
        lambda: layout.part("null_spaces", {"model": key}),
    ]
    for way in ways:
        with pytest.raises(InvalidKeyError, match="is not allowed: use 1 to 80 of a-z 0-9"):
            way()


@settings(max_examples=200, deadline=None)
@given(model=KEYS, trait=KEYS)
def test_no_path_leaves_the_data_folder(model, trait):
    root = Path("/data/steer")
    layout = Layout(root)
    key = {"model": model, "trait": trait}
    try:
        paths = [
            layout.model(model),
            layout.pair_file("bases", model, trait, ".h5"),
            layout.part("svd_spectra", key),
        ]
    except InvalidKeyError:
        assert not (allowed(model) and allowed(trait))
        return
    for path in paths:
        assert path == path.resolve()
        assert path.is_relative_to(root)
    assert layout.part_at(layout.relative(paths[-1])).key == key


@pytest.mark.parametrize(
    ("hub_id", "slug"),
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", "qwen--qwen2.5-0.5b-instruct"),
        ("gpt2", "gpt2"),
        ("HuggingFaceTB/SmolLM2-135M", "huggingfacetb--smollm2-135m"),
    ],
)
def test_slugs_of_hub_ids(hub_id, slug):
    assert slug_of_hub_id(hub_id) == slug


@pytest.mark.parametrize("hub_id", ["../../etc", "a/../b", "a/b c", "/x", "o/" + "n" * 80])
def test_hub_ids_that_make_no_key_are_refused(hub_id):
    with pytest.raises(InvalidKeyError):
        slug_of_hub_id(hub_id)


def test_names_of_partitions():
    assert partition_name({"trait": "formality", "model": "toy"}) == "toy|formality"
    assert partition_name({"trait": "formality"}) == "formality"
    assert partition_name({}) == "all"


def test_parts_are_found_in_a_fixed_order_and_only_parts(tmp_path):
    layout = Layout(tmp_path)
    assert list(layout.parts()) == []
    keys = [{"model": "b", "trait": "x"}, {"model": "a", "trait": "y"}]
    for key in keys:
        path = layout.part("null_spaces", key)
        path.parent.mkdir(parents=True)
        path.touch()
        path.with_name(".part.parquet.1.tmp").touch()
    summary = layout.part("identifiability_summary", {})
    summary.parent.mkdir(parents=True)
    summary.touch()
    found = [(part.table, part.key) for part in layout.parts()]
    assert found == [
        ("identifiability_summary", {}),
        ("null_spaces", keys[1]),
        ("null_spaces", keys[0]),
    ]
