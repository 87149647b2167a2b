"""The section of thinking that a reasoning model writes before its answer.

Its markup is declared with the model, or one of `KNOWN` whose both sides occur in the chat template
or among the added tokens. The section is open at the end of a prompt whose template begins it, or
where the text begins with its opening; it ends with the first closing. Sections that follow one
another are one. A text that closes a section which it did not open was inside it from the start.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

#: In a snapshot's folder: the markup that was declared with the model.
NAME = "thinking.json"

State = Literal["none", "closed", "open"]


@dataclass(frozen=True)
class Markup:
    """What begins the section, and what ends it."""

    opening: str
    closing: str


KNOWN = (
    Markup("<think>", "</think>"),
    Markup("<thinking>", "</thinking>"),
    Markup("<thought>", "</thought>"),
    Markup("<reasoning>", "</reasoning>"),
    Markup("[THINK]", "[/THINK]"),
    Markup("<seed:think>", "</seed:think>"),
    Markup("<|START_THINKING|>", "<|END_THINKING|>"),
    Markup("<|begin_of_thought|>", "<|end_of_thought|>"),
    Markup("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    Markup("<|channel>thought", "<channel|>"),
)


@dataclass(frozen=True)
class Thinking:
    """What is asked of a model's thinking.

    enable: given to the chat template as `enable_thinking` (and `thinking`, as some templates call
    it); None gives it nothing. markup: declared with the model; None looks for it.
    """

    enable: bool | None = None
    markup: Markup | None = None

    @property
    def arguments(self) -> dict[str, bool]:
        """Arguments of the chat template."""
        return (
            {} if self.enable is None else {"enable_thinking": self.enable, "thinking": self.enable}
        )


@dataclass(frozen=True)
class Section:
    """`none`: the text has no section; `closed`, with its first `n_tokens` up to its end; `open`:
    it never closes."""

    state: State
    n_tokens: int


def find(tokenizer: Any) -> Markup | None:
    """The first known markup of which the template, or the added tokens, have both sides."""
    template = str(getattr(tokenizer, "chat_template", None) or "")
    added = set(getattr(tokenizer, "get_added_vocab", dict)())
    for markup in KNOWN:
        sides = (markup.opening, markup.closing)
        if all(side in template for side in sides) or all(side in added for side in sides):
            return markup
    return None


def begun(text: str, markup: Markup) -> bool:
    """Whether a rendered prompt ends inside a section."""
    return text.rfind(markup.opening) > text.rfind(markup.closing)


def closing_ids(tokenizer: Any, markup: Markup) -> list[int]:
    """Token ids that end a section."""
    return list(tokenizer(markup.closing, add_special_tokens=False)["input_ids"])


def section(tokenizer: Any, markup: Markup, ids: Sequence[int], *, inside: bool) -> Section:
    """The section of a generated text.

    Args:
        tokenizer: of the model.
        markup: of its sections.
        ids: tokens of the text, after the prompt.
        inside: whether the prompt ends inside a section.
    """
    text = _spelled(tokenizer, ids)
    end = _end(text, markup, inside)
    if end is None:
        return Section("open", len(ids))
    return Section("closed", _n_tokens(tokenizer, ids, end)) if end else Section("none", 0)


def _end(text: str, markup: Markup, inside: bool) -> int | None:
    """Characters up to the end of the section: 0 if there is none, None if it never closes."""
    opened = inside or text.lstrip().startswith(markup.opening)
    end = 0
    while opened or (end == 0 and markup.closing in text):
        at = text.find(markup.closing, end)
        if at < 0:
            return None
        end = at + len(markup.closing)
        opened = text[end:].lstrip().startswith(markup.opening)
    return end


def _n_tokens(tokenizer: Any, ids: Sequence[int], end: int) -> int:
    """The fewest first tokens that spell `end` characters, by bisection."""
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if len(_spelled(tokenizer, ids[:middle])) >= end else (middle + 1, high)
        )
    return low


def _spelled(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text with its special tokens, which some markup is made of."""
    return str(
        tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    )


def write(folder: Path, markup: Markup) -> None:
    """Record declared markup in the folder of a snapshot."""
    (folder / NAME).write_text(json.dumps({"opening": markup.opening, "closing": markup.closing}))


def declared(folder: Path) -> Markup | None:
    """The markup that a snapshot was declared with."""
    try:
        return Markup(**json.loads((folder / NAME).read_text()))
    except FileNotFoundError:
        return None
