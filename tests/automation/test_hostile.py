"""One hostile text as prompt and answer, through the graph and everything that displays it."""

from __future__ import annotations

import dataclasses
import json
import sys
from html.parser import HTMLParser

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from steer_assets import cli
from steer_assets.automation.runner import instance
from steer_assets.catalog import catalog
from steer_assets.catalog.traits import Trait
from steer_assets.storage.database import warehouse
from steer_assets.storage.schema import table_statements, view_statements
from tests.finished import TRAIT, run_tiny
from tests.tiny import MODEL, World

pytestmark = pytest.mark.faults
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> [here](javascript:alert(3)) "
    "![x](https://evil.example/x.png) '; DROP TABLE generations; -- \x1b]0;owned\x07\x9b31m"
    "\u202e| ../../etc/passwd {{ 7 * 7 }} &lt;b&gt;"
)
#: What a browser would fetch, run or follow.
_ACTIVE = {"script", "img", "iframe", "object", "embed", "form", "base"}


def _hostile(trait: Trait) -> Trait:
    def spoilt(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{HOSTILE} {text}" for text in texts)

    tests = {name: spoilt(texts) for name, texts in trait.test.model_dump().items() if texts}
    contrast = trait.contrast.model_dump()
    contrast["contexts"] = spoilt(contrast["contexts"])
    value = trait.model_dump() | {"contrast": contrast, "test": tests, "title": HOSTILE}
    return Trait.model_validate(value)


@pytest.fixture
def spoilt(finished: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The tiny study again, with prompts and answers of an attacker."""
    from steer_assets.lm.decoding import decode

    trait, generate = _hostile(catalog.trait(TRAIT)), decode.generate

    def answers(*arguments: object, **options: object) -> list[decode.Generation]:
        made = generate(*arguments, **options)  # type: ignore[arg-type]
        return [dataclasses.replace(one, text=f"{HOSTILE} {one.text}") for one in made]

    monkeypatch.setattr(catalog, "trait", lambda name: trait)
    monkeypatch.setattr(decode, "generate", answers)
    run_tiny(finished, force=True)
    return finished


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.handlers: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("href", "src")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def _steer(capsys, monkeypatch, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["steer", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    return said.out


def test_a_hostile_text_is_shown_everywhere_and_obeyed_nowhere(
    spoilt: World, capsys, monkeypatch
) -> None:
    layout = spoilt.layout
    # The database holds the text as it is, and all its tables.
    texts = warehouse.query(layout, "SELECT prompt, text FROM generations")
    assert all(HOSTILE in text for text in [*texts["prompt"], *texts["text"]])
    for table in [*table_statements(), *view_statements()]:
        warehouse.query(layout, f'FROM "{table}" LIMIT 1')
    # The page shows it.
    page = _Page()
    page.feed(layout.pair_file("reports", MODEL, TRAIT, ".html").read_text())
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in page.text
    assert "⟨ESC⟩]0;owned" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert not _ACTIVE & set(page.tags)
    assert page.handlers == []
    assert not [target for target in page.targets if "evil" in target or "javascript" in target]
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(page.text)
    # Dagster shows it.
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    with instance() as found:
        for stage in ("prompt_sets", "generations"):
            event = found.get_latest_materialization_event(dg.AssetKey(stage))
            assert event is not None
            assert event.asset_materialization is not None
            shown = str(event.asset_materialization.metadata["preview"].value)
            assert "alert" in shown
            kinds = {
                child.type for token in markdown.parse(shown) for child in token.children or []
            }
            assert kinds <= {"text", "text_special"}
            assert "\x1b" not in shown
            assert "\x9b" not in shown
    # A terminal shows it, as a table and as JSON that gives it back.
    question = "SELECT text FROM generations LIMIT 3"
    for out in (
        _steer(capsys, monkeypatch, "sql", question),
        _steer(capsys, monkeypatch, "sql", "--json", question),
        _steer(capsys, monkeypatch, "status"),
        _steer(capsys, monkeypatch, "report", "--model", MODEL, "--trait", TRAIT),
        _steer(capsys, monkeypatch, "traits", "list"),
    ):
        assert all(character.isprintable() or character == "\n" for character in out)
    lines = _steer(capsys, monkeypatch, "sql", "--json", question).splitlines()
    assert [json.loads(line)["text"] for line in lines] == texts["text"].to_list()[:3]
