"""The section of thinking: where it ends in a text, and what the chat template is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steer_assets.lm import thinking
from steer_assets.lm.chat import DEFAULT_DATE, Encoder
from steer_assets.lm.context import encoder_of
from steer_assets.lm.loading.loader import Source, facts, load, snapshot
from steer_assets.lm.prompts import Prompt, encode_prompts, inside_thinking
from steer_assets.lm.thinking import KNOWN, Markup, Thinking
from tests.lm.test_prompts import PLAIN
from tests.tiny import tokenizer

THINK = KNOWN[0]
#: A template that closes the section where it is told to, and one that always begins it.
SWITCH = PLAIN.replace(
    "<assistant>{% endif %}",
    "<assistant>{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}",
)
OPENS = PLAIN.replace("<assistant>{% endif %}", "<assistant><think>\n{% endif %}{# </think> #}")
USER = Prompt("Why?")
ANSWER = Prompt("", (("user", "Why?"), ("assistant", "(B")))


@pytest.fixture(scope="module", params=["bytes", "added", "special"])
def spelling(request: pytest.FixtureRequest) -> Any:
    """Markup as ordinary text, as tokens of its own, and as special tokens."""
    found = tokenizer()
    if request.param != "bytes":
        found.add_tokens([THINK.opening, THINK.closing], special_tokens=request.param == "special")
    return found


def _encoder(template: str, thinking: Thinking = Thinking()) -> Encoder:  # noqa: B008
    found = tokenizer()
    found.chat_template = template
    return Encoder(found, thinking=thinking)


def _shown(encoder: Encoder, prompt: Prompt) -> str:
    return str(encoder.tokenizer.decode(encode_prompts(encoder, [prompt])[0]))


@pytest.mark.parametrize(
    ("text", "inside", "state", "after"),
    [
        ("An answer.", False, "none", "An answer."),
        ("<think>Hm.</think>An answer.", False, "closed", "An answer."),
        ("\n<think>Hm.</think>", False, "closed", ""),
        ("Hm.</think>\n\nAn answer.", True, "closed", "\n\nAn answer."),
        ("Hm.</think>An answer.", False, "closed", "An answer."),
        ("<think>Hm.</think>\n<think>Or.</think>Yes.", False, "closed", "Yes."),
        ("<think>Hm.</think>Yes </think> no.", False, "closed", "Yes </think> no."),
        ("Say <think> aloud.", False, "none", "Say <think> aloud."),
        ("<think>Hm, and so", False, "open", ""),
        ("Hm, and so", True, "open", ""),
        ("<think>Hm.</think><think>Or", False, "open", ""),
    ],
)
def test_a_section_ends_where_the_answer_begins(
    spelling: Any, text: str, inside: bool, state: str, after: str
) -> None:
    ids = spelling(text, add_special_tokens=False)["input_ids"]
    found = thinking.section(spelling, THINK, ids, inside=inside)
    assert found.state == state
    assert spelling.decode(ids[found.n_tokens :]) == after


def test_a_section_of_messages_in_channels() -> None:
    channels = next(markup for markup in KNOWN if "analysis" in markup.opening)
    own = tokenizer()
    text = f"{channels.opening}Hm.<|end|><|start|>assistant{channels.closing}Yes."
    ids = own(text, add_special_tokens=False)["input_ids"]
    found = thinking.section(own, channels, ids, inside=False)
    assert own.decode(ids[found.n_tokens :]) == "Yes."


def test_markup_is_found_in_the_template_or_the_tokens_or_declared(spelling: Any) -> None:
    assert _encoder(SWITCH).markup == THINK
    assert _encoder(PLAIN).markup is None
    assert thinking.find(spelling) == (None if len(spelling) == 259 else THINK)
    own = Markup("(", ")")
    assert _encoder(SWITCH, Thinking(markup=own)).markup == own


@pytest.mark.parametrize("enable", [None, True, False])
def test_the_template_is_told_whether_to_think(enable: bool | None) -> None:
    shown = "<user>Why?</user><assistant>"
    closed = "<think>\n\n</think>\n\n" if enable is False else ""
    assert _shown(_encoder(SWITCH, Thinking(enable)), USER) == shown + closed


@pytest.mark.parametrize(
    ("template", "prompt", "chat_template", "inside"),
    [
        (OPENS, USER, True, True),
        (OPENS, USER, False, False),
        (OPENS, ANSWER, True, False),
        (SWITCH, USER, True, False),
        (SWITCH, Prompt("<u>Why?</u><think>Hm", raw=True), True, True),
        (SWITCH, Prompt("<u>Why?</u><think>Hm</think>", raw=True), True, False),
        (SWITCH, Prompt("What is <think>?"), True, False),
    ],
)
def test_which_prompts_end_inside_a_section(
    template: str, prompt: Prompt, chat_template: bool, inside: bool
) -> None:
    encoder = _encoder(template)
    assert inside_thinking(encoder, prompt, chat_template=chat_template) == inside


def test_an_answer_that_is_begun_is_no_thought() -> None:
    begun = "<user>Why?</user><assistant>"
    assert _shown(_encoder(OPENS), ANSWER) == begun + "<think>\n\n</think>\n\n(B"
    assert _shown(_encoder(SWITCH), ANSWER) == begun + "(B"


def test_a_judge_is_asked_for_its_answer_without_thinking() -> None:
    for template in (OPENS, SWITCH):
        encoder = _encoder(template, Thinking(True))
        (ids,) = encoder.encode_questions(["Why?"])
        assert str(encoder.tokenizer.decode(ids)).endswith("<assistant><think>\n\n</think>\n\n")
    plain = _encoder(PLAIN)
    assert plain.encode_questions(["Why?"]) == plain.encode(["Why?"])


def test_declared_markup_goes_with_the_snapshot(tmp_path: Path, folder: Path) -> None:
    own, source = Markup("<a>", "</a>"), Source("folder", str(folder))
    snapshot(source, tmp_path / "plain")
    assert load(tmp_path / "plain", device="cpu").markup is None
    plain = facts(tmp_path / "plain")
    assert snapshot(source, tmp_path / "declared", markup=own).facts == plain
    assert load(tmp_path / "declared", device="cpu").markup == own
    assert encoder_of(tmp_path / "declared", DEFAULT_DATE).markup == own
