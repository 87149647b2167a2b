"""Prompts as token ids: one user turn, several turns, the start of an answer, or raw text.

Activations are read and vectors are added at the last token of a prompt. If the last turn is the
assistant's, that token belongs to the answer: the answer is tokenised separately and appended to
the generation prompt, as if the model had begun to write it, after a section of thinking that is
closed where the template begins one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import TemplateError

from steer_assets.lm.chat import Encoder
from steer_assets.lm.thinking import begun

#: Separates turns if the tokenizer has no chat template, and parts of one turn.
_BREAK = "\n\n"
_Message = Mapping[str, str]


@dataclass(frozen=True)
class Prompt:
    """A text and its form.

    text: one user turn, or the raw text. turns: (role, content) of a conversation, which replaces
    `text`. raw: whether the text already has the markup of the chat template.
    """

    text: str
    turns: tuple[tuple[str, str], ...] = ()
    raw: bool = False


def encode_prompts(
    lm: Encoder, prompts: Sequence[Prompt], *, chat_template: bool = True
) -> list[list[int]]:
    """Token ids of each prompt; `chat_template=False` separates turns by blank lines."""
    return [_encoded(lm, prompt, chat_template) for prompt in prompts]


def _encoded(lm: Encoder, prompt: Prompt, chat_template: bool) -> list[int]:
    if prompt.raw:
        return _raw_ids(lm, prompt.text)
    if not prompt.turns:
        return lm.encode([prompt.text], chat_template=chat_template)[0]
    *before, (role, content) = prompt.turns
    if not (chat_template and lm.has_template):
        return _plain_ids(lm, prompt.turns)
    if role != "assistant":
        return _conversation_ids(lm, prompt.turns, lm.templated)
    answer = lm.tokenizer(content.strip(), add_special_tokens=False)["input_ids"]
    return [*_conversation_ids(lm, before, lm.before_answer), *answer]


def inside_thinking(lm: Encoder, prompt: Prompt, *, chat_template: bool = True) -> bool:
    """Whether a prompt ends inside a section of thinking."""
    if lm.markup is None:
        return False
    if prompt.raw:
        return begun(prompt.text, lm.markup)
    answers = bool(prompt.turns) and prompt.turns[-1][0] == "assistant"
    return chat_template and lm.begins_thinking and not answers


def _raw_ids(lm: Encoder, text: str) -> list[int]:
    """The text unchanged; a beginning-of-text token that it already has is not added again."""
    begins = getattr(lm.tokenizer, "bos_token", None)
    if begins and text.startswith(begins):
        return list(lm.tokenizer(text, add_special_tokens=False)["input_ids"])
    return lm.encode([text], chat_template=False)[0]


def _plain_ids(lm: Encoder, turns: Sequence[tuple[str, str]]) -> list[int]:
    """Turns without a template; an answer that starts with a blank continues its line."""
    text = ""
    for role, content in turns:
        joined = not text or (role == "assistant" and (content[0].isspace() or text[-1].isspace()))
        text += content if joined else f"{_BREAK}{content}"
    return lm.encode([text.rstrip()], chat_template=False)[0]


def _conversation_ids(
    lm: Encoder, turns: Sequence[tuple[str, str]], render: Callable[[list[_Message]], list[int]]
) -> list[int]:
    """Turns through the template, with generation prompt.

    If the template rejects or omits a system turn, its content begins the first user turn.
    """
    (first, system), *rest = turns
    if first != "system":
        return render(_messages(turns))
    try:
        ids = render(_messages(turns))
        # A template that omits the system turn gives the same result for any content of it.
        kept = ids != render(_messages([(first, f"{system} {system}"), *rest]))
    except TemplateError:
        kept = False
    if kept:
        return ids
    (role, content), *later = rest
    return render(_messages([(role, f"{system}{_BREAK}{content}"), *later]))


def _messages(turns: Sequence[tuple[str, str]]) -> list[_Message]:
    return [{"role": role, "content": content} for role, content in turns]
