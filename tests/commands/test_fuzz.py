"""Damaged files, strange keys and command lines through the real entry point.

For any arguments and catalog content: an exit code of 0, 1 or 2, a sentence and no traceback,
nothing unforeseen, and nothing written outside of the data folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.catalog import samples
from tests.sizes import FULL, FUZZ

ROWS_CSV = "positive,negative,test,environment\nBe kind.,Be rude.,,\n,,Say a,topic_shift\n"
ROWS_JSON = (
    '{"positive": "a", "negative": "b"}\n{"positive": "c", "negative": "d"}\n{"test": "e"}\n'
)
PUBLISHED = (
    '{"persona_prompts": {"brevity": {"contexts": ["a", "b"], "positive_template": "x {context}",'
    ' "negative_template": "y {context}", "test": {"in_distribution": ["c"]}}}}'
)
SCORER = (
    "scorer: mine\ntitle: My own\nkind: hf_classifier\nmodel_id: /nowhere\n"
    "traits: {formality: {label_map: {a: 1, b: -1}}}\n"
)
#: Room, file name and a content that can be used, before it is damaged.
FILES = [
    ("traits", "brevity.yaml", samples.TRAIT),
    ("traits", "brevity.csv", ROWS_CSV),
    ("traits", "brevity.jsonl", ROWS_JSON),
    ("traits", "brevity.json", PUBLISHED),
    ("models", "mine.yaml", samples.MODEL),
    ("studies", "mine.yaml", samples.STUDY),
    ("scorers", "mine.yaml", SCORER),
]
FRAGMENTS = [
    "../../../etc/passwd", "/etc/passwd", "\x1b]0;title\x07", "\x1b[2J", "\u202e", "\x00", "\ufeff",
    "'; DROP TABLE models; --", '"', "<script>alert(1)</script>", "[a](javascript:b)", "{context}",
    "&a [*a, *a]", "*a", "<<: *a", "!!python/object/apply:os.system [x]", "!!binary aaaa", "? ",
    "- ", "1e400", "-1", "NaN", "9" * 5000, "1:" * 500, "2026-02-31", "~", "no", "[" * 1500,
    "{" * 1500,
    "null", "true", "\n", "\r", "\t", ",,,,", "{}", "[]", '{"a": 1}', "\ud800", "𝄞", "a" * 5000,
    "L/0", "99999999999999999999999L", "--- \n", "%TAG", "|", ">", "model: a", "title: a\ntitle: b",
]  # fmt: skip
COMMANDS = [
    "run", "status", "report", "figures", "table", "sql", "score", "gc", "models", "traits",
    "vectors", "db", "list", "add", "retire", "check", "import", "export", "sync", "rebuild",
]  # fmt: skip
OPTIONS = [
    "--model", "--trait", "--study", "--json", "--force", "--format", "--figure", "--to", "--name",
    "--revision", "--layer", "--vector", "--yes", "--runs-older-than", "--scorer", "--help", "--",
]  # fmt: skip
Steer = Callable[..., "object"]

strange = st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=20), st.binary(max_size=20))


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """A file of the catalog in which some places were cut out, replaced or filled."""
    room, name, text = draw(st.sampled_from(FILES))
    content = text.encode()
    if draw(st.integers(0, 9)) == 0:
        return room, name, draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(len(content), start + 30)))
        content = content[:start] + _bytes(draw(strange)) + content[stop:]
    return room, name, content


#: Possible arguments of a process: no null bytes, and valid UTF-8.
words = st.one_of(
    st.sampled_from([f for f in FRAGMENTS if f.isprintable() or "\x1b" in f]),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30),
)


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything in a folder but the data and Dagster's own."""
    found = {}
    for place, folders, names in os.walk(folder):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name not in ("data", "dagster")]
        for name in [*folders, *names]:
            status = Path(place, name).lstat()
            found[str(Path(place, name))] = (status.st_size, status.st_mtime_ns)
    return found


@pytest.fixture
def safely(steer: Steer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a command and check its exit code and output."""
    surroundings = tmp_path / "here"
    surroundings.mkdir()
    (surroundings / "precious.txt").write_text("x")
    monkeypatch.chdir(surroundings)
    monkeypatch.setenv("HOME", str(surroundings))
    # Matplotlib keeps a list of the machine's fonts in the home folder, or here.
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "dagster" / "matplotlib"))
    before = _listing(tmp_path)

    def call(*arguments: str, stdin: bytes = b"") -> None:
        answer = steer(*arguments, stdin=stdin)
        assert answer.code in (0, 1, 2), answer
        assert "Traceback" not in answer.out + answer.err, answer
        assert "steer: unexpected" not in answer.err, answer
        assert "\x1b" not in answer.out + answer.err, answer
        assert _listing(tmp_path) == before

    return call


def _tries(share: float) -> settings:
    return settings(
        max_examples=round(FUZZ * share),
        deadline=None,
        derandomize=not FULL,  # the test command gives the same answer twice
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@_tries(0.5)
@given(file=damaged())
def test_damaged_catalog_files(safely, layout, monkeypatch, file):
    room, name, content = file
    path = layout.root / "catalog" / room / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        if room == "traits":
            safely("traits", "check", str(path))
            safely("traits", "list")
        elif room == "models":
            safely("models", "list")
        elif room == "studies":
            safely("run", "--study", "mine", "--model", "nobody", "--trait", "formality")
        else:
            monkeypatch.setenv("STEER_STUDY", "mine")
            study = samples.STUDY.replace("scorers: [minilm]", "scorers: [mine]")
            (layout.root / "catalog" / "studies").mkdir(exist_ok=True)
            (layout.root / "catalog" / "studies" / "mine.yaml").write_text(study)
            safely("run", "--model", "nobody", "--trait", "formality")
            safely("score", "nothing", "--scorer", "mine")
    finally:
        path.unlink()


@_tries(0.2)
@given(key=words, other=words)
def test_strange_keys(safely, key, other):
    for command in (
        ("report", f"--model={key}", f"--trait={other}"),
        ("status", f"--model={key}"),
        ("run", f"--model={key}", "--trait=formality", f"--study={other}"),
        ("models", "add", "a/b", "--revision=x", f"--name={key}|"),
        ("vectors", "list", f"--model={key}", f"--trait={other}"),
        ("table", "--", key),
    ):
        safely(*command)


@_tries(0.3)
@given(
    arguments=st.lists(
        st.one_of(st.sampled_from(COMMANDS), st.sampled_from(OPTIONS), words), max_size=7
    ),
    stdin=st.binary(max_size=40),
)
def test_strange_command_lines(safely, arguments, stdin):
    safely(*arguments, stdin=stdin)
