"""Prompts as token ids: one user turn, several turns, an answer begun, or raw text.

The last token of a prompt is where activations are read and vectors are added. Where the last turn
is the assistant's, that token is the answer's own: the answer is tokenised by itself and put after
the generation prompt, as if the model had begun to write it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import TemplateError

from steer_assets.lm.chat import Encoder

#: Between turns where the tokenizer has no chat template, and between parts of one turn.
_BREAK = "\n\n"


@dataclass(frozen=True)
class Prompt:
    """A text with its form.

    text: one user turn, or the raw text. turns: (role, content) of a conversation, which then
    stands for `text`. raw: whether the text already has the markup of the chat template.
    """

    text: str
    turns: tuple[tuple[str, str], ...] = ()
    raw: bool = False


def encode_prompts(
    lm: Encoder, prompts: Sequence[Prompt], *, chat_template: bool = True
) -> list[list[int]]:
    """Token ids of each prompt; `chat_template=False` writes the turns one below the other."""
    return [_encoded(lm, prompt, chat_template) for prompt in prompts]


def _encoded(lm: Encoder, prompt: Prompt, chat_template: bool) -> list[int]:
    if prompt.raw:
        return _raw_ids(lm, prompt.text)
    if not prompt.turns:
        return lm.encode([prompt.text], chat_template=chat_template)[0]
    *before, (role, content) = prompt.turns
    if not (chat_template and getattr(lm.tokenizer, "chat_template", None)):
        return _plain_ids(lm, prompt.turns)
    if role != "assistant":
        return _conversation_ids(lm, prompt.turns)
    answer = lm.tokenizer(content.strip(), add_special_tokens=False)["input_ids"]
    return [*_conversation_ids(lm, before), *answer]


def _raw_ids(lm: Encoder, text: str) -> list[int]:
    """The text as it is; a beginning of text that it has itself is not put before it again."""
    begins = getattr(lm.tokenizer, "bos_token", None)
    if begins and text.startswith(begins):
        return list(lm.tokenizer(text, add_special_tokens=False)["input_ids"])
    return lm.encode([text], chat_template=False)[0]


def _plain_ids(lm: Encoder, turns: Sequence[tuple[str, str]]) -> list[int]:
    """Turns without a template; an answer that begins with a blank goes on in its line."""
    text = ""
    for role, content in turns:
        joined = not text or (role == "assistant" and (content[0].isspace() or text[-1].isspace()))
        text += content if joined else f"{_BREAK}{content}"
    return lm.encode([text.rstrip()], chat_template=False)[0]


def _conversation_ids(lm: Encoder, turns: Sequence[tuple[str, str]]) -> list[int]:
    """Turns through the template, with generation prompt.

    Where the template refuses or leaves out a system turn, it begins the first user turn.
    """
    (first, system), *rest = turns
    if first != "system":
        return _templated(lm, turns)
    try:
        ids = _templated(lm, turns)
        # A template that leaves the system turn out gives the same for every content of it.
        kept = ids != _templated(lm, [(first, f"{system} {system}"), *rest])
    except TemplateError:
        kept = False
    if kept:
        return ids
    (role, content), *later = rest
    return _templated(lm, [(role, f"{system}{_BREAK}{content}"), *later])


def _templated(lm: Encoder, turns: Sequence[tuple[str, str]]) -> list[int]:
    return lm.templated([{"role": role, "content": content} for role, content in turns])
