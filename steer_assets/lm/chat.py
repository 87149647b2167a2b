"""Prompts as token ids: chat template with a pinned date, and nothing after the prompt.

A template that writes today's date would make other prompts tomorrow. While one is rendered,
``strftime_now`` gives the pinned date instead.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from transformers.utils import chat_template_utils

#: The date that templates are shown.
DEFAULT_DATE = datetime.date(2026, 1, 1)
_pinning = threading.Lock()


@contextmanager
def today_is(date: datetime.date) -> Iterator[None]:
    """Chat templates that ask for the time see midnight of ``date``."""

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


def templated(
    tokenizer: Any, messages: Sequence[Mapping[str, str]], date: datetime.date
) -> list[int]:
    """Token ids of a conversation with generation prompt, as of ``date``."""
    with today_is(date):
        ids = tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=True, tokenize=True, return_dict=False
        )
    return list(ids)
