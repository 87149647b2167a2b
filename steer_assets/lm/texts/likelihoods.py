r"""Log-likelihoods of sampled texts under other arms than their own, token by token.

Under an arm ``alpha * v`` is added at the positions of the scope, by default at the last prompt
token and at every token of the text, as when it was sampled; the distribution is that of the
sampler. Beside the log-probability of each token there is the divergence of its whole distribution
from that under the text's own arm (`token_divergences`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from steer_assets.lm.decoding.sampling import Sampling
from steer_assets.lm.forward.continuing import Continuations, SteeredPrompt, over_prompts
from steer_assets.lm.forward.intervene import Arm, ArmTable
from steer_assets.lm.forward.prefix import Prefix
from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED, Scope
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.progress import Meter, OnProgress
from steer_assets.lm.tensor_parallel.every_rank import on_every_rank
from steer_assets.lm.texts.reader import Reader, Reading


@dataclass(frozen=True)
class SampledText:
    """Token ids of a text, the positions of its prompt and arm, and the arms it is read under."""

    prompt: int
    arm: int
    ids: tuple[int, ...]
    others: tuple[int, ...] = ()


@on_every_rank
@torch.inference_mode()
def text_likelihoods(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    texts: Sequence[SampledText],
    arms: Sequence[Arm],
    vectors: Float[np.ndarray, "n d"] | None,
    sampling: Sampling,
    *,
    scope: Scope = LAST_PROMPT_AND_GENERATED,
    batch_tokens: int = 1024,
    beside: Sequence[int] = (),
    on_progress: OnProgress = None,
) -> list[dict[int, Reading]]:
    """Readings of every text by arm: its own, and each of its ``others``.

    Equal texts after one prompt are run once under an arm. ``batch_tokens`` bounds the padded
    tokens of a pass. ``beside``: prompts that are run though they have no text (`parts`). Raises
    PromptError and InterventionError for prompts, texts and arms that do not fit the model,
    ValueError at temperature 0.
    """
    lm.check_prompts(prompts)
    lm.check_prompts([text.ids for text in texts])
    table = ArmTable(lm, arms, vectors)
    lowest = [min((added.layer for added in arm), default=None) for arm in arms]
    if sampling.temperature == 0:
        raise ValueError("at temperature 0 a text is not sampled, and has no probability")
    by_prompt: dict[int, list[int]] = {}
    for row, text in enumerate(texts):
        by_prompt.setdefault(text.prompt, []).append(row)
    found: list[dict[int, Reading]] = [{} for _ in texts]
    asked = sorted({*by_prompt, *beside})
    meter = Meter(on_progress, len(texts), "texts")

    def visit(index: int, prefix: Prefix | None, place: int) -> None:
        rows = by_prompt.get(asked[index])
        if rows is None:
            return
        own = [texts[row] for row in rows]
        distinct = list(dict.fromkeys((text.ids, text.arm) for text in own))
        wanted = _wanted(own, distinct)
        ids = list(dict.fromkeys(words for words, _ in distinct))
        layers = [
            layer
            for others in wanted.values()
            for arm in others
            if (layer := lowest[arm]) is not None
        ]
        n, prompt = len(ids), prompts[asked[index]]
        run = Continuations(lm, prefix, [place] * n, [prompt] * n, ids, layers, scope)
        steered = None
        if scope.whole_prompt and prefix is not None:
            steered = SteeredPrompt(lm, prompt, table, {a for own in wanted.values() for a in own})
        read = Reader(lm, run, table, lowest, layers, sampling, batch_tokens, steered).read(
            [(ids.index(words), others) for (words, _), others in wanted.items()]
        )
        by_text = dict(zip(wanted, read, strict=True))
        for row, text in zip(rows, own, strict=True):
            readings = by_text[text.ids, text.arm]
            found[row] = {arm: readings[arm] for arm in dict.fromkeys((text.arm, *text.others))}
        meter.advance(len(rows), sum(len(text.ids) for text in own))

    over_prompts(lm, [prompts[p] for p in asked], visit, keep=bool(beside))
    return found


Key = tuple[tuple[int, ...], int]


def _wanted(texts: Sequence[SampledText], distinct: Sequence[Key]) -> Mapping[Key, list[int]]:
    """The arms that each distinct text is read under, its own first."""
    wanted: dict[Key, dict[int, None]] = {key: {key[1]: None} for key in distinct}
    for text in texts:
        wanted[text.ids, text.arm].update(dict.fromkeys(text.others))
    return {key: list(arms) for key, arms in wanted.items()}
