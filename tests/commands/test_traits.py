"""`steer traits check` and `steer traits import`, as typed."""

import json

import pytest

from steer_assets.catalog import catalog
from tests.catalog import field


@pytest.fixture
def brought(tmp_path):
    """A folder with a file of each layout."""
    folder = tmp_path / "brought"
    folder.mkdir()
    for name, text in field.LAYOUTS.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", field.LAYOUTS)
def test_a_file_is_checked_imported_and_in_the_catalog(steer, layout, brought, name):
    checked = steer("traits", "check", brought / name)
    assert checked.code == 0, checked
    assert f"{brought / name} is a trait" in checked.err
    assert not layout.root.exists()
    imported = steer("traits", "import", brought / name, "--name", "mine")
    assert imported.code == 0, imported
    path = layout.root / "catalog" / "traits" / "mine.yaml"
    assert f"wrote {path}" in imported.err
    assert catalog.trait("mine").n_pairs >= 3
    assert [*catalog.trait("mine").tests()]
    for sentence in checked.err.splitlines()[1:]:
        assert sentence in imported.err, "import says less than check"


def test_markup_is_warned_of_and_raw_prompts_are_offered(steer, brought):
    file = brought / "templated.jsonl"
    said = steer("traits", "check", file).err
    assert f"warning: {file}:1: 4 prompts hold chat markup (<|im_start|>)" in said
    command = f"steer traits import {file} --raw"
    assert command in said
    answer = steer(*command.split()[1:])
    assert answer.code == 0
    assert "chat markup" not in answer.err
    prompts = list(catalog.trait("templated").pairs("contrast"))
    assert all(prompt.raw for prompt in prompts)
    assert prompts[0].text == field.TEMPLATED[0]["positive"]


def test_a_name_that_is_taken_is_refused_and_nothing_is_written(steer, layout, brought):
    said = steer("traits", "import", brought / "caa.json", "--name", "formality").refused()
    assert "'formality' is already in the catalog; choose another --name" in said
    assert not layout.root.exists()


@pytest.mark.parametrize("name", ["../mine", "Mine", "a b"])
def test_a_name_that_is_no_key_is_refused(steer, layout, brought, name):
    said = steer("traits", "import", brought / "caa.json", "--name", name).refused()
    assert f"trait {name!r} is not allowed" in said
    assert not layout.root.exists()


def test_each_trait_of_a_published_file_is_imported(steer, brought):
    templates = {
        "positive_template": "Be kind: {context}",
        "negative_template": "Be rude: {context}",
    }
    value = {name: {**templates, "contexts": ["tea", "rain"]} for name in ("one", "two")}
    file = brought / "published.json"
    file.write_text(json.dumps({"persona_prompts": value}))
    assert "defines one, two" in steer("traits", "import", file, "--name", "mine").refused()
    assert steer("traits", "import", file).code == 0
    assert {"one", "two"} <= set(catalog.trait_keys())


def test_duplicates_are_named_by_line(steer, tmp_path):
    file = tmp_path / "dups.csv"
    file.write_text("positive,negative,test\na,b,c\nd,e,f\nA,b,g\nd,E,\n")
    answer = steer("traits", "check", file)
    assert answer.code == 2
    assert f"{file}:4: contrast.pairs.2: is the same as in line 2: 'A | b'" in answer.err
    assert f"{file}:5: contrast.pairs.3: is the same as in line 3: 'd | E'" in answer.err


def test_prompts_that_say_nearly_the_same_are_warned_of_and_imported(steer, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(
        "positive,negative,test\na,b,Explain how a lock raises a boat.\n"
        "d,e,Please explain how a lock raises a boat!\n,,Describe a glacier.\n"
    )
    answer = steer("traits", "import", file)
    assert answer.code == 0
    assert f"warning: {file}:3: test.in_distribution.1: 'Please explain" in answer.err
    assert answer.err.count("warning") == 1
    assert len(list(catalog.trait("mine").tests())) == 3


def test_what_so_few_cannot_estimate_is_said(steer, tmp_path):
    file = tmp_path / "few.jsonl"
    file.write_text(field.json_lines([*field.PAIR_ROWS[:1], {"positive": "a", "negative": "b"}]))
    said = steer("traits", "check", file).err
    assert "few: 2 contrast pairs: too few to say how stable v is" in said
    assert "few: 1 test prompt of in_distribution: no interval and no verdict" in said


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_texts_to_score_may_have_a_byte_order_mark(steer, monkeypatch, encoding):
    from steer_assets.resources import scorers

    class Lengths:
        def score(self, texts: list[str]) -> list[float]:
            return [float(len(text)) for text in texts]

    monkeypatch.setattr(scorers, "scorer", lambda *_: Lengths())
    rows = [{"text": "Gr\u00fc\u00dfe"}, {"text": "ab"}]
    answer = steer("score", "formality", stdin=field.json_lines(rows, "\r\n").encode(encoding))
    assert answer.code == 0, answer
    assert [json.loads(line)["score"] for line in answer.out.splitlines()] == [5.0, 2.0]
