r"""Log-likelihoods of sampled texts under other arms than their own, token by token.

Under an arm ``alpha * v`` is added at the positions of the scope, by default at the last prompt
token and at every token of the text, as when it was sampled; the distribution is that of the
sampler (temperature, nucleus). Beside the log-probability of each token there is the divergence of
its whole distribution from that under the text's own arm, a sum over the vocabulary:

.. math:: KL(p_t\|q_t) = \log E_{p_t} e^{\delta} - E_{p_t}\delta,\quad\delta = (z_q - z_p)/T

For divergences below ``_SMALL`` it is computed as :math:`\log(1 + E_p[e^{\delta'} - 1 - \delta'])`
with centred :math:`\delta'`, whose terms are not negative, so that no digits cancel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from steer_assets.lm.decoding.sampling import Sampling, log_distribution
from steer_assets.lm.forward.continuing import Continuations, SteeredPrompt, over_prompts
from steer_assets.lm.forward.intervene import Arm, ArmTable, Steering
from steer_assets.lm.forward.prefix import Prefix
from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED, Scope
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.progress import Meter, OnProgress

_SMALL = 1e-3  # nats a token
_STEEPEST = 80.0  # of delta where a divergence is small: its exponential is finite in float32


@dataclass(frozen=True)
class SampledText:
    """Token ids of a text, the positions of its prompt and arm, and the arms it is read under."""

    prompt: int
    arm: int
    ids: tuple[int, ...]
    others: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reading:
    """A text under one arm, float64 [t] in nats.

    log_p: log-probability of every token given all before it; kl: divergence of the token's
    distribution under this arm from that under the text's own; minus and plus infinity where the
    nuclei differ.
    """

    log_p: Float[np.ndarray, " t"]
    kl: Float[np.ndarray, " t"]


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
    on_progress: OnProgress = None,
) -> list[dict[int, Reading]]:
    """Readings of every text by arm: its own, and each of its ``others``.

    Equal texts after one prompt are run once under an arm. ``batch_tokens`` bounds the padded
    tokens whose logits are held at once. Raises PromptError and InterventionError for prompts,
    texts and arms that do not fit the model, ValueError at temperature 0.
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
    asked = sorted(by_prompt)
    meter = Meter(on_progress, len(texts), "texts")

    def visit(index: int, prefix: Prefix | None, place: int) -> None:
        rows = by_prompt[asked[index]]
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
            steered = SteeredPrompt(
                lm, prompt, table, {a for arms in wanted.values() for a in arms}
            )
        read = _Reader(run, table, lowest, sampling, batch_tokens, steered).read(
            [(ids.index(words), arm, others) for (words, arm), others in wanted.items()]
        )
        by_text = dict(zip(wanted, read, strict=True))
        for row, text in zip(rows, own, strict=True):
            readings = by_text[text.ids, text.arm]
            found[row] = {arm: readings[arm] for arm in dict.fromkeys((text.arm, *text.others))}
        meter.advance(len(rows), sum(len(text.ids) for text in own))

    over_prompts(lm, [prompts[p] for p in asked], visit)
    return found


Key = tuple[tuple[int, ...], int]


def _wanted(texts: Sequence[SampledText], distinct: Sequence[Key]) -> Mapping[Key, list[int]]:
    """The arms that each distinct text is read under, its own first."""
    wanted: dict[Key, dict[int, None]] = {key: {key[1]: None} for key in distinct}
    for text in texts:
        wanted[text.ids, text.arm].update(dict.fromkeys(text.others))
    return {key: list(arms) for key, arms in wanted.items()}


class _Own:
    """The token distributions of a text under its own arm, which its other arms are compared with.

    scaled: logits over the temperature [t, v]; total: logsumexp of each row; p: probabilities.
    """

    def __init__(self, scaled: Float[Tensor, "t v"], total: Float[Tensor, " t"]) -> None:
        self.scaled, self.total = scaled, total
        self.p = (scaled - total[:, None]).exp_()

    def kl(self, scaled: Float[Tensor, "t v"], total: Float[Tensor, " t"]) -> Tensor:
        """Divergence [t] of other distributions from these; ``scaled`` is overwritten."""
        delta = scaled.sub_(self.scaled)
        mean = torch.einsum("tv,tv->t", self.p, delta)
        kl = total.double() - self.total.double() - mean.double()
        small = (kl < _SMALL).nonzero()[:, 0]
        if len(small):
            centred = (delta[small] - mean[small, None]).clamp_max_(_STEEPEST)
            terms = torch.expm1(centred).sub_(centred)
            kl[small] = torch.einsum("tv,tv->t", self.p[small], terms).double().log1p()
        return kl.clamp_min_(0.0)


class _Reader:
    """Runs the (text, arm) rows of one prompt in batches, each text's own arm first."""

    def __init__(
        self,
        run: Continuations,
        table: ArmTable,
        lowest: Sequence[int | None],
        sampling: Sampling,
        batch_tokens: int,
        steered: SteeredPrompt | None,
    ) -> None:
        self._steered = steered
        self._run, self._table, self._lowest, self._sampling = run, table, lowest, sampling
        self._size = max(1, batch_tokens // max(run.lengths))

    def read(self, texts: Sequence[tuple[int, int, list[int]]]) -> list[dict[int, Reading]]:
        """Readings by arm of every (text, own arm, arms)."""
        rows = [(at, text, arm) for at, (text, _, arms) in enumerate(texts) for arm in arms]
        found: list[dict[int, Reading]] = [{} for _ in texts]
        own: dict[int, _Own | Tensor] = {}
        for start in range(0, len(rows), self._size):
            batch = rows[start : start + self._size]
            for (at, text, arm), scores in zip(batch, self._logits(batch), strict=True):
                n = self._run.lengths[text]
                ids = self._run.targets[text, :n]
                found[at][arm] = self._reading(own, at, scores[:n], ids)
            # A text's rows follow each other, so that only the last one's go on in the next batch.
            own = {at: mine for at, mine in own.items() if at == batch[-1][0]}
        return found

    def _logits(self, batch: list[tuple[int, int, int]]) -> list[Tensor]:
        """Logits [t, v] of every row; rows that resume from one block run together."""
        device = self._run.targets.device
        steered = [layer for _, _, arm in batch if (layer := self._lowest[arm]) is not None]
        # The table adds zero to unsteered rows, which therefore resume with the others.
        deepest = max(steered, default=None)
        groups: dict[int | None, list[int]] = {}
        for row, (_, _, arm) in enumerate(batch):
            lowest = self._lowest[arm]
            groups.setdefault(deepest if lowest is None else lowest, []).append(row)
        found: dict[int, Tensor] = {}
        for layer, members in groups.items():
            text_of_row = torch.tensor([batch[row][1] for row in members], device=device)
            own = [batch[row][2] for row in members]
            arm_of_row = torch.tensor(own, device=device)
            edits = Steering(self._table, arm_of_row).edits() if layer is not None else {}
            over = None if self._steered is None else self._steered.of_rows(own)
            logits = self._run.logits(text_of_row, layer, edits, over)
            found |= dict(zip(members, logits, strict=True))
        return [found[row] for row in range(len(batch))]

    def _reading(
        self,
        own: dict[int, _Own | Tensor],
        at: int,
        logits: Float[Tensor, "t v"],
        ids: Int[Tensor, " t"],
    ) -> Reading:
        if self._sampling.top_p < 1.0:
            return self._in_nuclei(own, at, logits, ids)
        scaled = logits.float().mul_(1 / self._sampling.temperature)
        total = scaled.logsumexp(dim=1)
        log_p = _numbers(scaled.gather(1, ids[:, None])[:, 0].double() - total.double())
        mine = own.get(at)
        if not isinstance(mine, _Own):
            own[at] = _Own(scaled, total)
            return Reading(log_p, np.zeros(len(log_p)))
        return Reading(log_p, _numbers(mine.kl(scaled, total)))

    def _in_nuclei(
        self,
        own: dict[int, _Own | Tensor],
        at: int,
        logits: Float[Tensor, "t v"],
        ids: Int[Tensor, " t"],
    ) -> Reading:
        log_q = log_distribution(logits, self._sampling.temperature, self._sampling.top_p)
        mine = own.setdefault(at, log_q)
        assert isinstance(mine, Tensor)
        return Reading(_numbers(log_q.gather(1, ids[:, None])[:, 0]), _numbers(_kl(mine, log_q)))


def _kl(log_p: Float[Tensor, "t v"], log_q: Float[Tensor, "t v"]) -> Float[Tensor, " t"]:
    """KL(p || q) of every row; infinite where q cannot give a token that p can."""
    inside = log_p > -torch.inf
    terms = log_p.exp().double() * (log_p.double() - log_q.double())
    return terms.masked_fill(~inside, 0.0).sum(dim=1).clamp_min(0.0)


def _numbers(values: Tensor) -> Float[np.ndarray, " t"]:
    return np.asarray(values.double().cpu().numpy())
