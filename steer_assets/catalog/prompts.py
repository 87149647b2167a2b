"""Forms of a prompt: a text, several turns, or raw text that already has its chat markup.

- A plain **text** is one user turn, rendered with the model's chat template.
- **Turns** are a list of `{role, content}`: an optional `system` turn first, then `user` and
  `assistant` turns in alternation, the first by the user. If the last turn is the assistant's, it
  is the start of an answer: the prompt ends with its last token.
- `{raw: text}` is used unchanged, without a template.

A question or context, which a contrast completes, is a text or turns that end with the user's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

Text = Annotated[str, Field(min_length=1, max_length=4000)]
#: Tags of the forms of a prompt in pydantic's error locations; no field can have such a name.
_TEXT, _TURNS, _RAW = "<text>", "<turns>", "<raw>"


class Strict(BaseModel):
    """Base class: unknown fields are errors, and instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Turn(Strict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Text


class Raw(Strict):
    """A text that already has the markup of its model's chat template."""

    raw: Text


def _alternate(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    spoken = [turn.role for turn in turns if turn.role != "system"]
    system_first = all(turn.role != "system" for turn in turns[1:])
    expected = ["user" if i % 2 == 0 else "assistant" for i in range(len(spoken))]
    if not spoken or spoken != expected or not system_first:
        raise ValueError(
            "expected an optional system turn, then turns of user and assistant in alternation, "
            f"the first by the user; found {', '.join(turn.role for turn in turns) or 'none'}"
        )
    return turns


def _form(value: Any) -> str:
    if isinstance(value, list | tuple):
        return _TURNS
    return _RAW if isinstance(value, Mapping | Raw) else _TEXT


Turns = Annotated[tuple[Turn, ...], AfterValidator(_alternate)]
Said = Annotated[
    Annotated[Text, Tag(_TEXT)] | Annotated[Turns, Tag(_TURNS)] | Annotated[Raw, Tag(_RAW)],
    Discriminator(_form),
]


def _asks(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    if turns[-1].role != "user":
        raise ValueError("expected turns that end with the user's")
    return turns


def _form_of_asked(value: Any) -> str:
    return _TURNS if isinstance(value, list | tuple) else _TEXT


Asked = Annotated[
    Annotated[Text, Tag(_TEXT)] | Annotated[Turns, AfterValidator(_asks), Tag(_TURNS)],
    Discriminator(_form_of_asked),
]


def asked_turns(asked: Asked) -> tuple[Turn, ...]:
    """A question or context as turns."""
    return (Turn(role="user", content=asked),) if isinstance(asked, str) else asked


def readable(said: Said) -> str:
    """A prompt as readable text, distinct from every other prompt of its form."""
    if isinstance(said, str):
        return said
    if isinstance(said, Raw):
        return said.raw
    return "\n".join(f"[{turn.role}] {turn.content}" for turn in said)


def with_answer(question: Asked, answer: str, system: str = "") -> tuple[Turn, ...]:
    """A question, and the start of the assistant's answer."""
    turns = [Turn(role="system", content=system)] if system else []
    return (*turns, *asked_turns(question), Turn(role="assistant", content=answer))


def checksum(text: str, turns: str, raw: bool) -> str:
    """SHA-256 of all columns of `prompt_sets` that define a prompt."""
    content = json.dumps([text, turns, raw]) if turns or raw else text
    return sha256(content.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt as stored in the `prompt_sets` table."""

    prompt_id: str
    environment: str
    role: str
    pair_id: str
    polarity: str
    said: Said

    @property
    def text(self) -> str:
        """The prompt as readable text."""
        return readable(self.said)

    @property
    def turns(self) -> str:
        """JSON list of `{role, content}`; empty for one user turn, and for raw text."""
        if isinstance(self.said, str | Raw):
            return ""
        turns = [turn.model_dump() for turn in self.said]
        return json.dumps(turns, ensure_ascii=False)

    @property
    def raw(self) -> bool:
        """Whether the text is used unchanged, without a template."""
        return isinstance(self.said, Raw)
