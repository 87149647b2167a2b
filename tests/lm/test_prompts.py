"""Turns, answers begun and raw texts as token ids: what the model is shown, and its last token."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers as tf

from steer_assets.lm.chat import DEFAULT_DATE
from steer_assets.lm.measurements.capture import capture_last
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.prompts import Prompt, encode_prompts
from tests.tiny import write_model

PLAIN = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
#: Templates of families that have no system turn: one refuses it, one leaves it out.
REFUSES = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}" + PLAIN
)
LEAVES_OUT = PLAIN.replace(
    "<{{ m.role }}>{{ m.content }}</{{ m.role }}>",
    "{% if m.role != 'system' %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endif %}",
)
SYSTEM = Prompt("", (("system", "Be kind."), ("user", "Why?")))
ANSWER = Prompt("", (("user", "Why?\n(A) Yes\n(B) No"), ("assistant", " (B")))


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    folder = write_model(tmp_path_factory.mktemp("prompts") / "model")
    model = tf.AutoModelForCausalLM.from_pretrained(folder)
    return LanguageModel(model, tf.AutoTokenizer.from_pretrained(folder))


@pytest.fixture(params=[PLAIN, REFUSES, LEAVES_OUT], ids=["plain", "refuses", "leaves out"])
def template(request: pytest.FixtureRequest, lm: LanguageModel) -> str:
    lm.tokenizer.chat_template = request.param
    return str(request.param)


@pytest.fixture
def chat(lm: LanguageModel) -> LanguageModel:
    lm.tokenizer.chat_template = PLAIN
    return lm


@pytest.fixture
def bare(lm: LanguageModel) -> LanguageModel:
    lm.tokenizer.chat_template = None
    return lm


def _shown(lm: LanguageModel, prompt: Prompt, **options: bool) -> str:
    (ids,) = encode_prompts(lm, [prompt], **options)
    return str(lm.tokenizer.decode(ids))


def test_a_text_is_what_it_was(chat: LanguageModel) -> None:
    texts = ["Why?", "How?"]
    for options in ({}, {"chat_template": False}):
        found = encode_prompts(chat, [Prompt(text) for text in texts], **options)
        assert found == chat.encode(texts, **options)


def test_a_system_turn_reaches_the_model_whatever_the_template(
    lm: LanguageModel, template: str
) -> None:
    whole = "<system>Be kind.</system><user>Why?</user><assistant>"
    merged = "<user>Be kind.\n\nWhy?</user><assistant>"
    assert _shown(lm, SYSTEM) == (whole if template == PLAIN else merged)


def test_several_turns_reach_the_model_in_order(chat: LanguageModel) -> None:
    prompt = Prompt("", (("user", "Hi"), ("assistant", "Yes?"), ("user", "Rain")))
    shown = "<user>Hi</user><assistant>Yes?</assistant><user>Rain</user><assistant>"
    assert _shown(chat, prompt) == shown


def test_an_answer_begins_where_the_model_would_write(chat: LanguageModel) -> None:
    question = Prompt(ANSWER.turns[0][1])
    assert _shown(chat, ANSWER) == _shown(chat, question) + "(B"


@pytest.mark.parametrize("chat_template", [True, False])
def test_the_last_token_is_the_answers_and_is_where_activations_are_read(
    chat: LanguageModel, chat_template: bool
) -> None:
    other = Prompt("", (ANSWER.turns[0], ("assistant", " (A")))
    ids = encode_prompts(chat, [ANSWER, other], chat_template=chat_template)
    letters = [chat.tokenizer(letter)["input_ids"][0] for letter in "BA"]
    assert [own[-1] for own in ids] == letters
    assert ids[0][:-1] == ids[1][:-1]
    captured = capture_last(chat, ids, [1])[1]
    for own, values in zip(ids, captured, strict=True):
        with torch.inference_mode():
            states = chat.model(torch.tensor([own]), output_hidden_states=True).hidden_states
        np.testing.assert_allclose(values, states[2][0, -1].numpy(), atol=1e-5)
    assert np.abs(captured[0] - captured[1]).max() > 1e-3


@pytest.mark.parametrize("chat_template", [True, False])
def test_raw_text_is_taken_as_it_is(chat: LanguageModel, chat_template: bool) -> None:
    text = "<user>Why?</user><assistant>The Earth"
    assert _shown(chat, Prompt(text, raw=True), chat_template=chat_template) == text


def test_raw_text_does_not_begin_twice(
    chat: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = chat.tokenizer.__class__.__call__

    def beginning(self: object, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        ids = plain(self, text, add_special_tokens=False)["input_ids"]
        return {"input_ids": [1, *ids] if add_special_tokens else ids}

    monkeypatch.setattr(chat.tokenizer.__class__, "__call__", beginning)
    with_mark, without = encode_prompts(
        chat, [Prompt("<bos>Why?", raw=True), Prompt("Why?", raw=True)]
    )
    assert with_mark == without
    assert with_mark.count(1) == 1


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        (SYSTEM, "Be kind.\n\nWhy?"),
        (ANSWER, "Why?\n(A) Yes\n(B) No (B"),
        (Prompt("", (("user", "Why?"), ("assistant", "(B"))), "Why?\n\n(B"),
        (Prompt("", (("user", "Why?\n\nAnswer: "), ("assistant", "No "))), "Why?\n\nAnswer: No"),
    ],
)
def test_without_a_template_turns_stand_below_one_another(
    bare: LanguageModel, prompt: Prompt, shown: str
) -> None:
    assert _shown(bare, prompt) == shown


def test_several_turns_are_shown_the_pinned_date_too(lm: LanguageModel) -> None:
    lm.tokenizer.chat_template = "{{ strftime_now('%d %B %Y') }}" + PLAIN
    date = DEFAULT_DATE.strftime("%d %B %Y")
    for prompt in (Prompt("Why?"), SYSTEM, ANSWER):
        assert _shown(lm, prompt).startswith(f"{date}<")


def test_mixed_prompts_keep_their_order(chat: LanguageModel) -> None:
    prompts = [ANSWER, Prompt("Why?"), Prompt("<user>", raw=True), SYSTEM]
    together = encode_prompts(chat, prompts)
    assert together == [encode_prompts(chat, [prompt])[0] for prompt in prompts]
