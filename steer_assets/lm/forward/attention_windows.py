"""Attention windows narrowed for a trial, so that a few tokens exceed them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from steer_assets.lm.model import LanguageModel

_NARROW = 5
_NAMES = ("sliding_window", "attention_window_size", "attention_chunk_size", "window_size")


@contextmanager
def narrow_windows(lm: LanguageModel) -> Iterator[int]:
    """Set every window wider than a few tokens to a few; returns the number of windows set.

    The widths are attributes of both the configuration, from which masks are made, and of modules,
    which pass them to attention functions.
    """
    before: list[tuple[Any, str, int]] = []
    owners = {id(owner): owner for owner in _owners(lm)}
    try:
        for owner in owners.values():
            for name in _NAMES:
                width = vars(owner).get(name)
                if isinstance(width, int) and not isinstance(width, bool) and width > _NARROW:
                    before.append((owner, name, width))
                    setattr(owner, name, _NARROW)
        yield len(before)
    finally:
        for owner, name, width in before:
            setattr(owner, name, width)


def smallest_window(lm: LanguageModel) -> int | None:
    """Tokens of the narrowest attention window in the config; None if there is none."""
    named = [vars(owner).get(name) for owner in _owners(lm) for name in _NAMES]
    widths = [w for w in named if isinstance(w, int) and not isinstance(w, bool) and w > 0]
    return min(widths, default=None)


def _owners(lm: LanguageModel) -> Iterator[Any]:
    yield lm.model.config
    yield lm.model.config.get_text_config()
    for module in lm.model.modules():
        yield module
        config = getattr(module, "config", None)
        if config is not None:
            yield config
