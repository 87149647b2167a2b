"""A random model that thinks: its template begins the section, and some of its texts close it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny import tokenizer

OPENING, CLOSING = "<think>", "</think>"
#: Begins a section, unless it is told not to think.
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant><think>\n"
    "{% if enable_thinking is defined and not enable_thinking %}\n</think>\n\n{% endif %}"
    "{% endif %}"
)


def write_reasoning(folder: Path, config: Any, *, logit: float = 8.0, seed: int = 3) -> Path:
    """A model folder of a configuration class's instance, with untied output weights.

    logit: of the closing token on average.
    """
    import torch
    import transformers as tf

    own = tokenizer()
    own.add_tokens([OPENING, CLOSING])
    own.chat_template = TEMPLATE
    config.vocab_size, config.tie_word_embeddings = len(own), False
    tf.set_seed(seed)
    model = tf.AutoModelForCausalLM.from_config(config).eval()
    states = _states(model)
    with torch.no_grad():
        # As good as a bias: the weights that give all states nearly one logit.
        model.lm_head.weight[own.convert_tokens_to_ids(CLOSING)] = (
            logit * torch.linalg.lstsq(states, torch.ones(len(states), 1)).solution[:, 0]
        )
    model.save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def _states(model: Any) -> Any:
    """Last states [n, d] after random tokens."""
    import torch

    ids = torch.randint(3, 259, (8, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.model(ids).last_hidden_state.flatten(0, 1)
