"""Scopes of steering: the positions of a prompt and its text at which an arm is added.

The inputs of a text's distributions are the last prompt token and all tokens of the text but its
last; position j of a text is the last prompt token for j = 0 and token j - 1 of the text above. If
no other prompt token is edited, the prompt's keys and values are those of the unsteered model and
shared by all arms; under ``whole_prompt`` every arm has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from steer_assets.lm.errors import InterventionError

Tokens = Sequence[int]

#: Tokens, such as blank lines, that a prompt may have after the end of a section that it closes.
_TRAILING = 4


@dataclass(frozen=True)
class Scope:
    """Positions at which an arm is added; by default the last prompt token and every token after.

    whole_prompt: every prompt token. last_prompt: the last one. first: how many tokens of the text,
    from its first; None for all. section_end: token ids that end a section of the text; nothing is
    added before the last of them, or, if the prompt itself closes the section, before the prompt's
    last token. It replaces the other fields.
    """

    whole_prompt: bool = False
    last_prompt: bool = True
    first: int | None = None
    section_end: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.whole_prompt and (self.section_end or not self.last_prompt):
            raise ValueError("a scope of the whole prompt includes its last token")
        if self.first is not None and self.first < 1:
            raise ValueError(f"the first {self.first} tokens are none")

    @property
    def everywhere(self) -> bool:
        """Whether every position of a text is edited, the last prompt token included."""
        return self.last_prompt and self.first is None and not self.section_end

    @property
    def moves_next_token(self) -> bool:
        """Whether the distribution of the first token after any prompt is moved."""
        return self.last_prompt and not self.section_end

    def edited(self, prompt: Tokens, text: Tokens) -> list[bool]:
        """Whether each position of a text is edited, as many as it has tokens."""
        if self.section_end:
            start = self._section_start(prompt, text)
            return [start is not None and j >= start for j in range(len(text))]
        most = len(text) if self.first is None else self.first
        return [self.last_prompt if j == 0 else j <= most for j in range(len(text))]

    def _section_start(self, prompt: Tokens, text: Tokens) -> int | None:
        """The first edited position where a section must end first; None if it does not."""
        if self.closed_by(prompt):
            return 0
        return next((j for j in range(1, len(text) + 1) if self.ends(text, j)), None)

    def closed_by(self, prompt: Tokens) -> bool:
        """Whether the prompt's last tokens close the section."""
        return any(self.ends(prompt, len(prompt) - n) for n in range(_TRAILING + 1))

    def ends(self, tokens: Tokens, n_tokens: int) -> bool:
        """Whether the section ends with the last of the first ``n_tokens``."""
        start = n_tokens - len(self.section_end)
        return 0 <= start < n_tokens and tuple(tokens[start:n_tokens]) == self.section_end


#: The last prompt token and every token of the text.
LAST_PROMPT_AND_GENERATED = Scope()


def require_next_token(scope: Scope) -> None:
    """Raise InterventionError if the next token after a prompt is not moved."""
    if not scope.moves_next_token:
        raise InterventionError(
            "under this scope no arm is added at the last prompt token, so that the next token "
            "after the prompt is that of the unsteered model"
        )


def edited_positions(
    scope: Scope, prompts: Sequence[Tokens], texts: Sequence[Tokens], device: torch.device
) -> Bool[Tensor, "texts t"] | None:
    """The edited positions of right-padded texts; None where all of them are."""
    if scope.everywhere:
        return None
    longest = max(map(len, texts))
    rows = [scope.edited(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
    return torch.tensor([row + [False] * (longest - len(row)) for row in rows], device=device)


class Reach:
    """Which rows of a batch are edited at each step of decoding."""

    def __init__(self, scope: Scope, prompts: Sequence[Tokens]) -> None:
        """``prompts``: that of every row."""
        self._scope = scope
        self._open = {
            row
            for row, prompt in enumerate(prompts)
            if scope.section_end and not scope.closed_by(prompt)
        }

    def at(self, live: Sequence[int], texts: Sequence[Tokens]) -> list[bool] | None:
        """Whether the newest token of each live row is edited; None where all of them are.

        texts: tokens of every row so far, of which none ends before the newest token of this step.
        """
        scope = self._scope
        if scope.everywhere:
            return None
        if scope.section_end:
            self._open -= {row for row in live if scope.ends(texts[row], len(texts[row]))}
            return [row not in self._open for row in live]
        steps = [len(texts[row]) for row in live]
        most = scope.first
        return [scope.last_prompt if n == 0 else most is None or n <= most for n in steps]
