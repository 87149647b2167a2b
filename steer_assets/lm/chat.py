"""Prompts as token ids: chat template with a pinned date, and no tokens after the prompt.

A template that prints today's date would give different prompts on another day. During rendering,
``strftime_now`` therefore returns the pinned date. Whether a reasoning model is to think is an
argument of its template; an answer that is already begun follows a closed section of thinking.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from transformers.utils import chat_template_utils

from steer_assets.lm.thinking import Markup, Thinking, begun, closing_ids, find
from steer_assets.lm.tokenizers import appended

#: The date given to templates by default.
DEFAULT_DATE = datetime.date(2026, 1, 1)
_pinning = threading.Lock()


@contextmanager
def today_is(date: datetime.date) -> Iterator[None]:
    """Chat templates that call ``strftime_now`` get midnight of ``date``."""

    class Pinned(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return datetime.datetime(date.year, date.month, date.day, tzinfo=tz)

    with _pinning:
        real = chat_template_utils.datetime
        chat_template_utils.datetime = Pinned
        try:
            yield
        finally:
            chat_template_utils.datetime = real


class Encoder:
    """A tokenizer with its chat template, as of ``date``: texts and conversations as token ids.

    ``markup`` is that of sections of thinking: declared, or found; None where there is none.
    """

    def __init__(
        self,
        tokenizer: Any,
        date: datetime.date = DEFAULT_DATE,
        thinking: Thinking = Thinking(),  # noqa: B008 (immutable)
    ) -> None:
        self.tokenizer = tokenizer
        self.date = date
        self.thinking = thinking
        # The last prompt token must belong to the prompt, not be an end-of-text token added by the
        # tokenizer.
        self._n_appended = appended(tokenizer)

    @property
    def has_template(self) -> bool:
        """Whether there is a chat template."""
        return bool(getattr(self.tokenizer, "chat_template", None))

    @cached_property
    def markup(self) -> Markup | None:
        """Markup of the section of thinking; None if the model has none."""
        return self.thinking.markup or find(self.tokenizer)

    @cached_property
    def section_end(self) -> tuple[int, ...]:
        """Token ids that end the section of thinking; none if the model has no section."""
        return tuple(closing_ids(self.tokenizer, self.markup)) if self.markup else ()

    @cached_property
    def begins_thinking(self) -> bool:
        """Whether the template begins a section of thinking and leaves it open."""
        return self.has_template and self._open_after(self.thinking)

    def encode(self, texts: Sequence[str], *, chat_template: bool = True) -> list[list[int]]:
        """Token ids of each text; as a user turn with generation prompt if there is a template."""
        if chat_template and self.has_template:
            return [self.templated([_user(text)]) for text in texts]
        whole = [list(self.tokenizer(text)["input_ids"]) for text in texts]
        return [ids[: len(ids) - self._n_appended] for ids in whole]

    def encode_questions(self, texts: Sequence[str]) -> list[list[int]]:
        """As `encode`, where the next token is to be the answer's: the model is not to think."""
        if self.markup is None or not self.has_template:
            return self.encode(texts)
        silent = Thinking(False, self.markup)
        after = self._closed() if self._open_after(silent) else []
        return [[*self._render([_user(text)], silent, tokenize=True), *after] for text in texts]

    def templated(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Token ids of a conversation with generation prompt."""
        return list(self._render(messages, self.thinking, tokenize=True))

    def before_answer(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """As `templated`, with the section of thinking closed: what follows is the answer."""
        return [*self.templated(messages), *(self._closed() if self.begins_thinking else [])]

    def _open_after(self, thinking: Thinking) -> bool:
        markup = self.markup
        return markup is not None and begun(self._render([_user("a")], thinking), markup)

    def _closed(self) -> list[int]:
        """An end of the section, as templates write it where the model is not to think."""
        assert self.markup is not None
        before, after = (
            list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
            for text in ("\n", "\n\n")
        )
        return [*before, *closing_ids(self.tokenizer, self.markup), *after]

    def _render(
        self, messages: Sequence[Mapping[str, str]], thinking: Thinking, *, tokenize: bool = False
    ) -> Any:
        with today_is(self.date):
            return self.tokenizer.apply_chat_template(
                list(messages),
                add_generation_prompt=True,
                tokenize=tokenize,
                return_dict=False,
                **thinking.arguments,
            )


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
