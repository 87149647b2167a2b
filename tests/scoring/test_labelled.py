import json
from pathlib import Path

import pytest

from steer_assets.scoring.labelled import LabelledText, is_positive, read_labelled

GOOD = {"text": "Fine.", "label": "positive", "topic": "food", "register": "chat"}
OTHER = {"text": "Awful.", "label": "negative", "topic": "food", "register": "chat"}


def write(folder: Path, *lines: object) -> Path:
    path = folder / "texts.jsonl"
    rows = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_reads_in_order_and_skips_blank_lines(tmp_path: Path) -> None:
    texts = read_labelled(write(tmp_path, GOOD, "", OTHER))
    assert texts == [LabelledText(**GOOD), LabelledText(**OTHER)]
    assert is_positive(texts).tolist() == [True, False]


def test_line_separators_inside_a_text_do_not_split_it(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    row = json.dumps(GOOD | {"text": "one\u2028two"}, ensure_ascii=False)
    path.write_text(f"{row}\n{json.dumps(OTHER)}\n", encoding="utf-8")
    assert read_labelled(path)[0].text == "one\u2028two"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "not a JSON object"),
        ("[1, 2]", "found list"),
        (GOOD | {"label": "informal"}, "label: expected 'positive' or 'negative'"),
        (GOOD | {"text": "  "}, "text: expected a non-empty string"),
        (GOOD | {"topic": 3}, "topic: expected a non-empty string, found 3"),
        ({key: value for key, value in GOOD.items() if key != "register"}, "register: expected"),
        (GOOD | {"note": "x"}, "unknown key 'note'"),
        (OTHER | {"text": "AWFUL. "}, "the same as in line 1"),
    ],
)
def test_errors_name_file_line_and_field(tmp_path: Path, line: object, message: str) -> None:
    path = write(tmp_path, OTHER, line)
    with pytest.raises(ValueError, match=r"texts\.jsonl:2") as error:
        read_labelled(path)
    assert message in str(error.value)


def test_a_missing_pole_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no text with the label 'negative'"):
        read_labelled(write(tmp_path, GOOD))


def test_other_encodings_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\xe9")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_labelled(path)
