"""Traits from CSV, JSON lines and the published layout: the same trait, and errors with lines."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from steer_assets.catalog import catalog, trait_files
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.traits import Trait
from steer_assets.cli import app

PAIRS_CSV = """positive,negative,test,environment,title
Write politely about cats.,Write rudely about cats.,,,Manners
"Write politely, and at length.","Write rudely, and at length.",,,
,,Write about dogs.,,
,,Write a poem about dogs.,genre_shift,
"""
TEMPLATES_JSONL = "\n".join(
    json.dumps(row)
    for row in (
        {"positive_template": "Politely: {context}", "negative_template": "Rudely: {context}"},
        {"context": "cats"},
        {"context": "dogs"},
        {"test": "Write about mice."},
    )
)
PUBLISHED = {
    "persona_prompts": {
        "manners": {
            "contexts": ["cats", "dogs", "mice"],
            "positive_template": "Politely: {context}",
            "negative_template": "Rudely: {context}",
        },
        "candour": {
            "contexts": ["cats", "dogs"],
            "positive_template": "Frankly: {context}",
            "negative_template": "Evasively: {context}",
            "test": {"in_distribution": ["Write about mice."]},
        },
    }
}


def _read(folder: Path, file: str, text: str, name: str = "manners") -> Trait:
    path = folder / file
    path.write_text(text)
    return trait_files.read(path, name)


def _refused(folder: Path, file: str, text: str) -> str:
    with pytest.raises(CatalogError) as caught:
        _read(folder, file, text)
    return str(caught.value).removeprefix(f"{folder}/")


def test_csv_pairs_and_tests(tmp_path: Path) -> None:
    trait = _read(tmp_path, "manners.csv", PAIRS_CSV)
    assert (trait.trait, trait.title, trait.n_pairs) == ("manners", "Manners", 2)
    prompts = list(trait.pairs("contrast"))
    assert [p.text for p in prompts[2:]] == [
        "Write politely, and at length.",
        "Write rudely, and at length.",
    ]
    assert [p.polarity for p in prompts] == ["positive", "negative"] * 2
    assert [(t.environment, t.text) for t in trait.tests()] == [
        ("in_distribution", "Write about dogs."),
        ("genre_shift", "Write a poem about dogs."),
    ]


def test_json_lines_with_templates_are_what_yaml_would_be(tmp_path: Path) -> None:
    trait = _read(tmp_path, "manners.jsonl", TEMPLATES_JSONL)
    assert [p.text for p in trait.pairs("contrast")] == [
        "Politely: cats",
        "Rudely: cats",
        "Politely: dogs",
        "Rudely: dogs",
    ]
    (tmp_path / "manners.yaml").write_text(json.dumps(trait.model_dump(mode="json")))
    assert trait_files.read(tmp_path / "manners.yaml", "manners") == trait


def test_pairs_in_yaml(tmp_path: Path) -> None:
    trait = _read(tmp_path, "manners.csv", PAIRS_CSV)
    (tmp_path / "manners.yaml").write_text(json.dumps(trait.model_dump(mode="json")))
    assert trait_files.read(tmp_path / "manners.yaml", "manners") == trait


def test_the_published_layout(tmp_path: Path) -> None:
    path = tmp_path / "persona_prompts.json"
    path.write_text(json.dumps(PUBLISHED, indent=1))
    assert trait_files.names(path) == ["manners", "candour"]
    manners, candour = (trait_files.read(path, name) for name in trait_files.names(path))
    assert [p.text for p in manners.pairs("contrast")][:2] == ["Politely: cats", "Rudely: cats"]
    assert [t.text for t in manners.tests()] == [
        trait_files.NEUTRAL.replace("{context}", context) for context in ("cats", "dogs", "mice")
    ]
    (note,) = trait_files.reading(path, "manners").notes
    assert trait_files.NEUTRAL in note
    assert [t.text for t in candour.tests()] == ["Write about mice."]
    assert not trait_files.reading(path, "candour").notes


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("manners.csv", PAIRS_CSV.replace("rudely about cats", "politely about cats"), ":2: "),
        ("manners.csv", PAIRS_CSV.replace("genre_shift", "genre"), ":5: environment: 'genre'"),
        ("manners.csv", PAIRS_CSV.replace("title\n", "titel\n"), ":1: titel: unknown column"),
        ("manners.csv", PAIRS_CSV + "only this,,,,\n", ":6: negative: missing"),
        ("manners.csv", PAIRS_CSV + "a,b\n", ":6: row: expected 5 cells"),
        ("manners.csv", PAIRS_CSV + ",,,topic_shift,\n", ":6: environment: without a test"),
        ("manners.csv", "positive,negative\na,b\n", ":1: contrast.pairs: "),
        ("manners.csv", "", "contrast.pairs: "),
        ("Manners!.csv", PAIRS_CSV, "trait: "),
        ("manners.jsonl", TEMPLATES_JSONL + '\n{"test": 3}', ":5: test: expected text"),
        ("manners.jsonl", TEMPLATES_JSONL + "\n[1]", ":5: line: expected one object"),
        ("manners.jsonl", TEMPLATES_JSONL + '\n{"tset": "a"}', ":5: tset: unknown field"),
        ("manners.jsonl", TEMPLATES_JSONL + '\n{"test"', ":5: not valid JSON"),
        (
            "manners.jsonl",
            TEMPLATES_JSONL + '\n{"test": "a", "test": "b"}',
            "'test' is given twice",
        ),
        (
            "manners.jsonl",
            TEMPLATES_JSONL.replace("Rudely: {context}", "Rudely"),
            ":1: contrast.negative_template: ",
        ),
        (
            "manners.jsonl",
            TEMPLATES_JSONL + '\n{"positive": "a", "negative": "b"}',
            ":1: contrast: give pairs, or templates with contexts, or answered questions, or "
            "statements with labels, only one",
        ),
        ("manners.json", "{}", ":1: persona_prompts: expected"),
        ("manners.json", '{"persona_prompts": {"other": {}}}', "unknown trait of manners.json"),
        ("manners.txt", "a", "a trait file ends in"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, file: str, text: str, said: str
) -> None:
    name = file.rpartition(".")[0]
    with pytest.raises(CatalogError) as caught:
        _read(tmp_path, file, text, name)
    assert said in str(caught.value)
    assert file in str(caught.value)


def test_a_published_file_names_the_line_of_a_bad_field(tmp_path: Path) -> None:
    bad = json.loads(json.dumps(PUBLISHED))
    bad["persona_prompts"]["manners"]["negative_template"] = "Rudely"
    text = json.dumps(bad, indent="\t")
    line = next(i for i, row in enumerate(text.split("\n"), 1) if '"Rudely"' in row)
    assert f"manners.json:{line}: contrast.negative_template" in _refused(
        tmp_path, "manners.json", text
    )


def test_the_catalog_finds_them_and_the_command_checks_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEER_CATALOG_DIR", str(tmp_path))
    folder = tmp_path / "traits"
    folder.mkdir()
    (folder / "manners.csv").write_text(PAIRS_CSV)
    published = {"persona_prompts": {"candour": PUBLISHED["persona_prompts"]["candour"]}}
    (folder / "published.json").write_text(json.dumps(published))
    assert {"manners", "candour", "sentiment"} <= set(catalog.trait_keys())
    assert catalog.trait("candour").trait == "candour"
    assert catalog.trait("manners").n_pairs == 2
    (folder / "manners.jsonl").write_text(TEMPLATES_JSONL)
    with pytest.raises(CatalogError, match="already defined"):
        catalog.trait_keys()
    checked = CliRunner().invoke(app, ["traits", "check", str(folder / "manners.csv")])
    assert checked.exit_code == 0
    assert "2 contrast pairs, 2 test prompts" in checked.stderr
