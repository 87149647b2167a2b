"""The texts of one prompt, read under their arms: rows in batches, resumed from steered blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steer_assets.lm.decoding.sampling import Sampling
from steer_assets.lm.forward.continuing import Continuations, SteeredPrompt
from steer_assets.lm.forward.intervene import ArmTable, Steering
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.texts.token_divergences import in_nuclei, of_everything
from steer_assets.lm.texts.vocabulary import FinalStates, Logits, Scores, in_parts


@dataclass(frozen=True)
class Reading:
    """A text under one arm, float64 [t] in nats.

    log_p: log-probability of every token given all before it; kl: divergence of the token's
    distribution under this arm from that under the text's own; minus and plus infinity where the
    nuclei differ.
    """

    log_p: Float[np.ndarray, " t"]
    kl: Float[np.ndarray, " t"]


Row = tuple[int, int]
"""A text's position among those of its prompt, and the arm that it is read under."""


class Reader:
    """Reads the texts of one prompt under their arms, each text's own arm first.

    layers: the blocks at which ``run`` has states to resume from.
    """

    def __init__(
        self,
        lm: LanguageModel,
        run: Continuations,
        table: ArmTable,
        lowest: Sequence[int | None],
        layers: Sequence[int],
        sampling: Sampling,
        batch_tokens: int,
        steered: SteeredPrompt | None,
    ) -> None:
        self._lm, self._run, self._table, self._lowest = lm, run, table, lowest
        self._deepest, self._steered = max(layers, default=None), steered
        self._sampling = sampling
        self._by_parts = run.over_prefixes and in_parts(lm, sampling)
        self._size = max(1, batch_tokens // max(run.lengths))

    def read(self, texts: Sequence[tuple[int, list[int]]]) -> list[dict[int, Reading]]:
        """Readings by arm of every (text, arms), the own arm first; rows fill batches.

        The arms of a text that has more than a batch holds are read in several parts, each beside
        the own arm.
        """
        found: list[dict[int, Reading]] = [{} for _ in texts]
        parts = [
            (place, (text, [arms[0], *others]))
            for place, (text, arms) in enumerate(texts)
            for others in _split(arms[1:], max(1, self._size - 1))
        ]
        group: list[tuple[int, tuple[int, list[int]]]] = []
        rows = 0
        for part in parts:
            more = len(part[1][1])
            if group and rows + more > self._size:
                self._into(found, group)
                group, rows = [], 0
            group.append(part)
            rows += more
        if group:
            self._into(found, group)
        return found

    def _into(
        self,
        found: list[dict[int, Reading]],
        group: Sequence[tuple[int, tuple[int, list[int]]]],
    ) -> None:
        readings = self._group([part for _, part in group])
        for (place, _), one in zip(group, readings, strict=True):
            found[place] |= one

    def _group(self, texts: Sequence[tuple[int, list[int]]]) -> Iterator[dict[int, Reading]]:
        rows = [(text, arm) for text, arms in texts for arm in arms]
        outputs: list[Tensor] = []
        for start in range(0, len(rows), self._size):
            outputs += self._outputs(rows[start : start + self._size])
        log_p, kl = self._numbers(texts, outputs)
        at = 0
        for text, arms in texts:
            readings, n = {}, self._run.lengths[text]
            for arm in arms:
                readings[arm] = Reading(log_p[at : at + n], kl[at : at + n])
                at += n
            yield readings

    def _outputs(self, batch: Sequence[Row]) -> list[Tensor]:
        """Final states [t, d] or logits [t, v] of every row's text.

        Rows that resume from one block run together.
        """
        device = self._run.targets.device
        groups: dict[int | None, list[int]] = {}
        for row, (_, arm) in enumerate(batch):
            lowest = self._lowest[arm]
            # Unsteered rows resume as late as any; the table adds zero to them.
            groups.setdefault(self._deepest if lowest is None else lowest, []).append(row)
        forward = self._run.final_states if self._by_parts else self._run.logits
        found: dict[int, Tensor] = {}
        for layer, members in groups.items():
            text_of_row = torch.tensor([batch[row][0] for row in members], device=device)
            own = [batch[row][1] for row in members]
            arm_of_row = torch.tensor(own, device=device)
            edits = Steering(self._table, arm_of_row).edits() if layer is not None else {}
            over = None if self._steered is None else self._steered.of_rows(own)
            found |= dict(zip(members, forward(text_of_row, layer, edits, over), strict=True))
        return [found[row][: self._run.lengths[batch[row][0]]] for row in range(len(batch))]

    def _numbers(
        self, texts: Sequence[tuple[int, list[int]]], outputs: Sequence[Tensor]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """log_p and kl of the texts' tokens under their arms, one after the other."""
        blocks: list[tuple[int, int, int]] = []
        targets: list[Tensor] = []
        for text, arms in texts:
            n = self._run.lengths[text]
            blocks.append((sum(map(len, targets)), n, len(arms)))
            targets += [self._run.targets[text, :n]] * len(arms)
        joined, wanted = torch.cat(list(outputs)), torch.cat(targets)
        if self._sampling.top_p < 1.0:
            log_p, kl = in_nuclei(joined, wanted, blocks, self._sampling)
        else:
            temperature = self._sampling.temperature
            scores: Scores = (
                FinalStates(self._lm, joined, temperature)
                if self._by_parts
                else Logits(joined, temperature)
            )
            log_p, kl = of_everything(scores, wanted, blocks)
        return log_p.cpu().numpy(), kl.cpu().numpy()


def _split(arms: list[int], size: int) -> list[list[int]]:
    """Parts of at most ``size`` arms; one empty part where there are none."""
    return [arms[start : start + size] for start in range(0, max(1, len(arms)), size)]
