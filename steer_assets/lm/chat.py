"""Prompts as token ids: chat template with a pinned date, and no tokens after the prompt.

A template that prints today's date would give different prompts on another day. During rendering,
``strftime_now`` therefore returns the pinned date.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from transformers.utils import chat_template_utils

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
    """A tokenizer with its chat template, as of ``date``: texts and conversations as token ids."""

    def __init__(self, tokenizer: Any, date: datetime.date = DEFAULT_DATE) -> None:
        self.tokenizer = tokenizer
        self.date = date
        #: Token ids that end the thinking section of the model's texts; none if it writes none.
        self.section_end: tuple[int, ...] = ()
        # The last prompt token must belong to the prompt, not be an end-of-text token added by the
        # tokenizer.
        self._n_appended = appended(tokenizer)

    def encode(self, texts: Sequence[str], *, chat_template: bool = True) -> list[list[int]]:
        """Token ids of each text; as a user turn with generation prompt if there is a template."""
        if chat_template and getattr(self.tokenizer, "chat_template", None):
            return [self.templated([{"role": "user", "content": text}]) for text in texts]
        whole = [list(self.tokenizer(text)["input_ids"]) for text in texts]
        return [ids[: len(ids) - self._n_appended] for ids in whole]

    def templated(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Token ids of a conversation with generation prompt."""
        with today_is(self.date):
            ids = self.tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, tokenize=True, return_dict=False
            )
        return list(ids)
