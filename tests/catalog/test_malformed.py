"""SPEC 11: a malformed file is answered with file, line, field and what was expected."""

from pathlib import Path

import pytest

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from tests.catalog.samples import TRAIT, change

#: What is changed in TRAIT (old, new), the line and field to be named, and what is said.
TRAITS = {
    "a template without its placeholder": (
        ("Be brief. {context}", "Be brief."),
        (6, "contrast.positive_template"),
        "must contain {context} exactly once",
    ),
    "a template with its placeholder twice": (
        ("Be long. {context}", "{context} {context}"),
        (7, "contrast.negative_template"),
        "must contain {context} exactly once",
    ),
    "the same template for both poles": (
        ("Be long. {context}", "Be brief. {context}"),
        (6, "contrast"),
        "are the same",
    ),
    "duplicate contexts": (
        ("Describe a river.", "describe a tree."),
        (10, "contrast.contexts.1"),
        "is the same as in line 9: 'describe a tree.'",
    ),
    "no contexts": (
        (TRAIT[TRAIT.index("\n    - Describe a t") : TRAIT.index("\ntest:")], " []"),
        (8, "contrast.contexts"),
        "at least 2 items",
    ),
    "one context": (
        ("\n    - Describe a river.\n    - Describe a hill.", ""),
        (9, "contrast.contexts"),
        "at least 2 items",
    ),
    "no contrast": (
        (TRAIT[TRAIT.index("contrast:") : TRAIT.index("test:")], ""),
        (1, "contrast"),
        "Field required",
    ),
    "an empty context": (
        ("Describe a river.", '""'),
        (10, "contrast.contexts.1"),
        "at least 1 character",
    ),
    "duplicate test prompts in one environment": (
        ("Explain snow.", "Explain rain."),
        (15, "test.in_distribution.1"),
        "is the same as in line 14: 'Explain rain.'",
    ),
    "duplicate test prompts across environments": (
        ("Explain inflation.", "EXPLAIN RAIN."),
        (17, "test.topic_shift.0"),
        "is the same as in line 14: 'EXPLAIN RAIN.'",
    ),
    "no test prompts": (
        ("\n    - Explain rain.\n    - Explain snow.", " []"),
        (13, "test.in_distribution"),
        "at least 1 item",
    ),
    "an unknown environment": (
        ("topic_shift:", "topic_drift:"),
        (17, "test.topic_drift"),
        "Extra inputs are not permitted",
    ),
    "an unknown field": (
        ("poles:", "colour: red\npoles:"),
        (4, "colour"),
        "Extra inputs are not permitted",
    ),
    "a missing field": (("title: Brevity\n", ""), (1, "title"), "Field required"),
    "a missing pole": (("negative: long", ""), (4, "poles.negative"), "Field required"),
    "a field given twice": (
        ("title: Brevity\n", "title: Brevity\ntitle: Shortness\n"),
        (3, "title"),
        "is given twice, first in line 2",
    ),
    "a number for a text": (
        ("Describe a river.", "12"),
        (10, "contrast.contexts.1"),
        "should be a valid string",
    ),
    "a truth value for a text, as YAML reads no": (
        ("Describe a river.", "no"),
        (10, "contrast.contexts.1"),
        "should be a valid string",
    ),
    "a text for a list": (
        ("\n    - Explain inflation.", " Explain inflation."),
        (16, "test.topic_shift"),
        "should be a valid tuple",
    ),
    "a list for a mapping": (
        ("poles: {positive: short, negative: long}", "poles: [short, long]"),
        (4, "poles"),
        "should be a valid dictionary",
    ),
    "a key that is no key": (
        ("trait: brevity", "trait: ../brevity"),
        (1, "trait"),
        "trait '../brevity' is not allowed",
    ),
    "a key that is not the file's name": (
        ("trait: brevity", "# a comment\ntrait: shortness"),
        (2, "trait"),
        "is 'shortness', but the file is named brevity.yaml; expected shortness.yaml",
    ),
}


def _errors_of(path: Path, name: str) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        catalog.trait(name)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def test_the_sample_itself_is_a_trait(user):
    (user / "traits" / "brevity.yaml").write_text(TRAIT)
    trait = catalog.trait("brevity")
    assert [prompt.text for prompt in trait.pairs("contrast")] == [
        "Be brief. Describe a tree.",
        "Be long. Describe a tree.",
        "Be brief. Describe a river.",
        "Be long. Describe a river.",
        "Be brief. Describe a hill.",
        "Be long. Describe a hill.",
    ]
    assert [prompt.environment for prompt in trait.tests()] == [
        "in_distribution",
        "in_distribution",
        "topic_shift",
    ]


@pytest.mark.parametrize("case", TRAITS)
def test_a_malformed_trait_is_answered_with_line_field_and_expectation(user, case):
    (old, new), (line, field), said = TRAITS[case]
    path = user / "traits" / "brevity.yaml"
    path.write_text(change(TRAIT, old, new))
    errors = _errors_of(path, "brevity")
    assert len(errors) == 1
    assert errors[0].startswith(f"{line}: {field}: ")
    assert said in errors[0]


def test_every_error_of_a_file_is_named_at_once(user):
    path = user / "traits" / "brevity.yaml"
    text = change(change(TRAIT, "Explain snow.", "7"), "Be brief. {context}", "Be brief.")
    path.write_text(text)
    assert [error.split(": ")[0] for error in _errors_of(path, "brevity")] == ["6", "15"]


#: Bytes that are no YAML, and the line where they stop being it.
NOT_YAML = {
    "an open bracket": (b"trait: brevity\npoles: [a, b\ntitle: x\n", 3, "expected ',' or ']'"),
    "a tab": (b"trait: brevity\npoles:\n\tpositive: a\n", 3, "found character '\\t'"),
    "two mappings in a line": (b"trait: brevity\ntitle: a: b\n", 2, "mapping values"),
    "a control character": (b"trait: brevity\ntitle: a\x07b\n", 2, "'\\x07' is not allowed"),
    "an alias to nothing": (b"trait: brevity\ntitle: *no\n", 2, "*no: names are not looked up"),
    "a Python object": (b"trait: brevity\ntitle: !!python/name:os.system\n", 2, "constructor"),
    "two documents": (b"trait: brevity\n---\ntrait: brevity\n", 2, "but found another document"),
    "an impossible date": (b"trait: brevity\ntitle: 2024-02-31\n", 1, "day is out of range"),
    "Latin-1": ("trait: brevity\ntitle: Kürze\n".encode("latin-1"), 2, "not UTF-8"),
    "UTF-16 without its mark": ("trait: brevity\n".encode("utf-16-le"), 1, "holds zero bytes"),
    "half of UTF-16": ("trait: brevity\n".encode("utf-16")[:-1], 1, "not UTF-8"),
    "nothing": (b"", 1, "should be a valid dictionary"),
    "a list": (b"- a\n- b\n", 1, "should be a valid dictionary"),
    "a word": (b"brevity", 1, "should be a valid dictionary"),
    "a mapping as key": (b"? {a: b}\n: c\n", 1, "found unhashable key"),
    "itself": (b"&a [*a]\n", 1, "*a: names are not looked up"),
    "endless nesting": (b"[" * 1200, 1, "recursion"),
}


@pytest.mark.parametrize("case", NOT_YAML)
def test_what_is_no_yaml_is_answered_with_its_line(user, case):
    content, line, said = NOT_YAML[case]
    path = user / "traits" / "brevity.yaml"
    path.write_bytes(content)
    errors = _errors_of(path, "brevity")
    assert errors[0].startswith(f"{line}: ")
    assert said in errors[0]


def test_a_file_that_cannot_be_read_is_named(user):
    path = user / "traits" / "brevity.yaml"
    path.mkdir()
    with pytest.raises(CatalogError, match=r"brevity\.yaml: cannot be read: Is a directory"):
        catalog.trait("brevity")


def test_a_file_with_a_byte_order_mark_is_read(user):
    (user / "traits" / "brevity.yaml").write_text("\ufeff" + TRAIT)
    assert catalog.trait("brevity").title == "Brevity"


@pytest.mark.parametrize("room", ["models", "traits", "studies"])
@pytest.mark.parametrize("name", ["My trait", "a|b", "a,b", "..hidden", "UPPER", "a'b"])
def test_a_file_whose_name_is_no_key_is_named(user, room, name):
    path = user / room / f"{name}.yaml"
    path.write_text("x: 1")
    with pytest.raises(CatalogError, match="is not allowed: use 1 to 80 of") as caught:
        catalog.keys(room)
    assert str(path) in str(caught.value)


def test_a_name_that_is_taken_is_refused_with_both_files(user):
    path = user / "traits" / "formality.yaml"
    path.write_text(TRAIT)
    with pytest.raises(CatalogError, match="'formality' is already defined in") as caught:
        catalog.trait_keys()
    assert str(path) in str(caught.value)
