"""Log-probability of given texts after a prompt, under the unsteered model.

A prompt's own tokens are run once for all of its texts; the texts then run as one right-padded
batch, which under causal attention needs no mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steer_assets.lm.forward.edit_window import Window
from steer_assets.lm.forward.packing import packed_weights
from steer_assets.lm.forward.prefix import pad, run_padded
from steer_assets.lm.forward.stepping import shares_prefixes
from steer_assets.lm.forward.whole import whole_logits
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.progress import Meter, OnProgress
from steer_assets.lm.tensor_parallel.every_rank import on_every_rank

Tokens = Sequence[int]


def text_ids(lm: LanguageModel, text: str) -> list[int]:
    """Token ids of a text as the continuation of a prompt; a stop token if it is empty."""
    ids = list(lm.tokenizer(text, add_special_tokens=False)["input_ids"])
    return ids or sorted(lm.stop_ids)[:1]


@on_every_rank
@torch.inference_mode()
def log_probabilities(
    lm: LanguageModel,
    prompts: Sequence[Tokens],
    texts: Sequence[tuple[int, Tokens]],
    *,
    batch_tokens: int = 1024,
    on_progress: OnProgress = None,
) -> list[Float[np.ndarray, " t"]]:
    """Log-probability (nats) of every token of each text, given all tokens before it.

    Args:
        lm: the model.
        prompts: token ids.
        texts: (position of the prompt, token ids), each of at least one token.
        batch_tokens: padded tokens whose logits are held at once.
        on_progress: called as texts are done.

    Returns:
        float64 [t] per text, in input order.

    Raises:
        PromptError: an empty prompt or text, or an id outside the vocabulary.
    """
    lm.check_prompts(prompts)
    lm.check_prompts([ids for _, ids in texts])
    meter = Meter(on_progress, len(texts), "texts")
    found: list[np.ndarray] = [np.empty(0)] * len(texts)
    by_prompt: dict[int, list[int]] = {}
    for row, (prompt, _) in enumerate(texts):
        by_prompt.setdefault(prompt, []).append(row)
    for prompt, members in by_prompt.items():
        ordered = sorted(members, key=lambda row: (len(texts[row][1]), row))
        again = 0 if shares_prefixes(lm) else len(prompts[prompt])
        size = max(1, batch_tokens // (again + len(texts[ordered[-1]][1])))
        for start in range(0, len(ordered), size):
            rows = ordered[start : start + size]
            own = [list(texts[row][1]) for row in rows]
            for row, values in zip(rows, _batch(lm, prompts[prompt], own), strict=True):
                found[row] = values
            meter.advance(len(rows), sum(map(len, own)))
    return found


def _batch(
    lm: LanguageModel, prompt: Tokens, texts: list[list[int]]
) -> list[Float[np.ndarray, " t"]]:
    logits = _over_prefix(lm, prompt, texts) if shares_prefixes(lm) else _whole(lm, prompt, texts)
    targets = pad(lm, texts)
    chosen = logits.gather(2, targets[:, :, None])[:, :, 0].double()
    values = (chosen - logits.double().logsumexp(dim=2)).cpu().numpy()
    return [values[row, : len(text)] for row, text in enumerate(texts)]


def _inputs(prompt: Tokens, texts: list[list[int]]) -> list[list[int]]:
    # The last prompt token predicts the first of the text; the text's last token is not an input.
    return [[prompt[-1], *text[:-1]] for text in texts]


def _over_prefix(
    lm: LanguageModel, prompt: Tokens, texts: list[list[int]]
) -> Float[Tensor, "n t v"]:
    head = list(prompt[:-1])
    cache = run_padded(lm, [head] * len(texts), share=len(head))
    ids = pad(lm, _inputs(prompt, texts))
    positions = torch.arange(len(head), len(head) + ids.shape[1], device=ids.device)[None]
    with packed_weights(lm):
        logits: Tensor = lm.model(
            input_ids=ids,
            position_ids=positions.expand(len(ids), -1),
            past_key_values=cache,
            use_cache=True,
        ).logits
    return logits


def _whole(lm: LanguageModel, prompt: Tokens, texts: list[list[int]]) -> Float[Tensor, "n t v"]:
    ids = pad(lm, [[*prompt[:-1], *own] for own in _inputs(prompt, texts)])
    at = torch.arange(len(prompt) - 1, ids.shape[1], device=ids.device).expand(len(ids), -1)
    return whole_logits(lm, ids, Window(positions=at, read=at))
