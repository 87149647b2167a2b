"""Byte-order marks, UTF-16 and delimiters: the same trait from every spelling of the same file."""

import io
import json
from pathlib import Path

import pytest

from steer_assets.automation.manifest import ManifestError, check_model_folder
from steer_assets.catalog import trait_files
from steer_assets.catalog.errors import CatalogError
from steer_assets.encodings import decoded_lines
from steer_assets.scoring.labelled import read_labelled
from tests.catalog import field
from tests.catalog.samples import MODEL, STUDY, TRAIT
from tests.tiny import write_model

#: Encodings of Excel, Windows editors and PowerShell, and plain UTF-8.
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


def _marked(text: str, encoding: str) -> bytes:
    return ("\ufeff" * encoding.endswith(("-le", "-be")) + text).encode(encoding)


each_encoding = pytest.mark.parametrize("encoding", ENCODINGS)


@each_encoding
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("name", "delimiter"),
    [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t"), ("a.csv", "|")],
)
def test_a_table_is_the_same_in_every_spelling(tmp_path, encoding, end, name, delimiter):
    path = tmp_path / name
    path.write_bytes(_marked(field.table(delimiter, end), encoding))
    trait = trait_files.read(path, "a")
    texts = [prompt.text for prompt in trait.pairs("contrast")]
    assert texts[0] == f"{field.PAIRS[0][0]}{delimiter} and\nmore"
    assert texts[2:] == [text for pair in field.PAIRS[1:] for text in pair[:2]]
    assert [prompt.text for prompt in trait.tests()][1:] == [test for _, _, test in field.PAIRS[1:]]


@each_encoding
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("brevity.yaml", TRAIT),
        ("brevity.jsonl", field.json_lines(field.PAIR_ROWS, "\r\n")),
        ("brevity.json", json.dumps(field.PAIR_ROWS, indent=1)),
        ("brevity.json", json.dumps(field.PERSONA_VECTORS)),
        ("brevity.json", json.dumps({"persona_prompts": {"brevity": {
            "contexts": ["tea", "rain"], "positive_template": "Short: {context}",
            "negative_template": "Long: {context}"}}})),
    ],
)  # fmt: skip
def test_other_trait_files_are_the_same_in_every_spelling(tmp_path, encoding, name, text):
    path = tmp_path / name
    path.write_text(text)
    plain = trait_files.read(path, "brevity")
    path.write_bytes(_marked(text, encoding))
    assert trait_files.names(path) == ["brevity"]
    assert trait_files.read(path, "brevity") == plain


@each_encoding
def test_models_and_studies_are_read_in_every_spelling(user, encoding):
    from steer_assets.catalog import catalog

    (user / "models" / "mine.yaml").write_bytes(_marked(MODEL, encoding))
    (user / "studies" / "mine.yaml").write_bytes(_marked(STUDY, encoding))
    assert catalog.model_entry("mine").source.location == "/weights/mine"
    assert catalog.study("mine").seed == 7


@each_encoding
def test_labelled_texts_are_read_in_every_spelling(tmp_path, encoding):
    rows = [
        {"text": f"Grüße {label}", "label": label, "topic": "a", "register": "b"}
        for label in ("positive", "negative")
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes(_marked(field.json_lines(rows, "\r\n"), encoding))
    assert [text.text for text in read_labelled(path)] == ["Grüße positive", "Grüße negative"]


@each_encoding
@pytest.mark.parametrize("last", ["", "\n", "\r\n"])
def test_a_stream_gives_its_lines_in_every_spelling(encoding, last):
    lines = ['{"text": "Grüße"}', "", '{"text": "\u0a0a ends in a byte like that of a line"}']
    content = _marked("\r\n".join(lines) + last, encoding)
    assert list(decoded_lines(io.BytesIO(content))) == lines


def test_a_stream_is_answered_as_it_comes():
    given = iter([b'\xef\xbb\xbf{"text": "one"}\n', b'{"text": "tw'])
    assert next(decoded_lines(given)) == '{"text": "one"}'


@each_encoding
def test_checksums_of_a_model_are_read_in_every_spelling(tmp_path, encoding):
    folder = write_model(tmp_path / "model")
    wrong = f"{'0' * 64} *config.json\r\n"
    (folder / "SHA256SUMS").write_bytes(_marked(wrong, encoding))
    with pytest.raises(ManifestError, match=r"config\.json does not have the checksum"):
        check_model_folder(folder)


def test_the_delimiter_that_excel_is_told_is_believed(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("sep=;\r\npositive;negative;test\r\na;b;c\r\nd;e;\r\nd;\r\n", newline="")
    with pytest.raises(CatalogError, match=r"a\.csv:5: row: expected 3 cells"):
        trait_files.read(path, "a")
    path.write_text("sep=;\r\npositive;negative;test\r\na;b;c\r\nd;e;\r\n", newline="")
    assert trait_files.read(path, "a").n_pairs == 2


def test_empty_columns_and_rows_of_a_spreadsheet_are_passed_over(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Positive ;NEGATIVE;test;;\na;b;c;;\n;;;;\n\nd;e;;;\n")
    trait = trait_files.read(path, "a")
    assert [prompt.text for prompt in trait.pairs("contrast")] == ["a", "b", "d", "e"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a;b\n1;2\n", ":1: a;b: unknown column"),
        ("positive;negative;positive\n1;2;3\n", ":1: positive: this column is there twice"),
        ('positive;negative\n"a\nb";c\nd\n', ":4: row: expected 2 cells, as the header; found 1"),
        ("positive;negative;\na;b;c\n", ":2: row: expected 3 cells"),
        ("positive;negative\na;b;c\n", ":2: row: expected 2 cells"),
        ('positive;negative\n"a;b\n', "not valid CSV"),
        ("positive;negative;test\n1;2;3\n4;5;6\n7;8;3\n4;5;9\n",
         ":5: contrast.pairs.3: is the same as in line 3: '4 | 5'"),
        ("positive;negative;test\n1;2;3\n4;5;6\n7;8;3\n4;5;9\n",
         ":4: test.in_distribution.2: is the same as in line 2: '3'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_said_with_its_line(tmp_path: Path, text: str, said: str):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(CatalogError) as caught:
        trait_files.read(path, "a")
    assert said in str(caught.value)
