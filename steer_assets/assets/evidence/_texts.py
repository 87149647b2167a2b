"""Sampled texts of arms as rows of `generations`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from steer_assets.pipeline.design import prompt_selection, random_streams, scopes
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.resuming import Pieces, spread
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.files.hashing import hash_json

if TYPE_CHECKING:
    from steer_assets.lm.decoding import decode
    from steer_assets.lm.forward.intervene import Addition
    from steer_assets.lm.forward.intervene import Arm as Additions


def generation_id(protocol: str, arm: Arm, prompt_id: str, sample: int) -> str:
    """The key of one text within its partition."""
    return f"{protocol}/{arm.vector_id}@{arm.alpha:g}/{prompt_id}/{sample}"


@dataclasses.dataclass(frozen=True, slots=True)
class Together:
    """Vectors that an arm adds together, each at the arm's dose divided by `share`."""

    parts: Sequence[str]
    share: int = 1


class Texts:
    """Texts of prompts under the arms of their environment, of one protocol.

    vectors: ids, blocks at which they are added, and values [n, d]. Arms use common random numbers
    at each position, unless `independent` is set. several: by vector id, the vectors that an arm
    adds together.
    """

    def __init__(
        self,
        run: StageRun,
        protocol: str,
        prompts: pl.DataFrame,
        arms: Mapping[str, Sequence[Arm]],
        vectors: tuple[Sequence[str], Sequence[int], np.ndarray],
        *,
        samples: int,
        chat_template: bool = True,
        independent: bool = False,
        several: Mapping[str, Together] = MappingProxyType({}),
    ) -> None:
        self._run, self._protocol, self._prompts = run, protocol, prompts
        self._samples, self._independent = samples, independent
        self._values = vectors[2]
        self.arms = list(dict.fromkeys(arm for chosen in arms.values() for arm in chosen))
        #: Every text but for its sample: the row of a prompt, and an arm.
        self.pairs = [
            (prompt, arm)
            for prompt, environment in enumerate(prompts["environment"])
            for arm in arms.get(environment, [])
        ]
        encoded = prompt_selection.encoded(
            run.language_model(), prompts, chat_template=chat_template
        )
        # Random numbers are keyed by prompt, so an arm with its own keys has independent numbers.
        one_each = [(prompt, UNSTEERED) for prompt in range(len(prompts))]
        self._asked = self.pairs if independent else one_each
        self._ids = [encoded[prompt] for prompt, _ in self._asked]
        self._additions = _additions(self.arms, vectors, several)
        self._same = (
            list(range(len(self.arms)))
            if independent
            else _first_alike(self._additions, self._values)
        )

    def of(
        self,
        pairs: Sequence[tuple[int, Arm]],
        look: int = 1,
        step: str = "",
        *,
        more: Collection[Arm] = (),
        n_more: int = 0,
    ) -> pl.DataFrame:
        """Rows of `generations` for some of the pairs; a text depends on its own pair only.

        step: what is added to the name of the step in progress reports. more: arms that have
        `n_more` samples beyond those of the others.
        """
        at = {pair: row for row, pair in enumerate(self._asked)}
        position = {arm: row for row, arm in enumerate(self.arms)}
        rows = [
            (
                at[(prompt, arm) if self._independent else (prompt, UNSTEERED)],
                self._same[position[arm]],
            )
            for prompt, arm in pairs
        ]
        n_samples = [self._samples + n_more * (arm in more) for _, arm in pairs]
        made = [
            text
            for n in dict.fromkeys(n_samples)
            for text in self._in_pieces(
                [row for row, own in zip(rows, n_samples, strict=True) if own == n],
                n,
                f"decoding {self._protocol}{step}",
            )
        ]
        by_place = {(text.prompt, text.arm, text.sample): text for text in made}
        return pl.DataFrame(
            [
                _row(self._protocol, by_place[(*row, sample)], arm, self._prompts, prompt, look)
                for (prompt, arm), row, n in zip(pairs, rows, n_samples, strict=True)
                for sample in range(n)
            ]
        )

    def _in_pieces(
        self, pairs: list[tuple[int, int]], n_samples: int, step: str
    ) -> list[decode.Generation]:
        """Texts of all pairs, batch by batch; completed batches survive a killed run."""
        from steer_assets.lm.decoding import decode
        from steer_assets.lm.decoding.decode import Generation
        from steer_assets.lm.decoding.memory import default_rows

        run, settings = self._run, self._run.study.generation
        longest = max(map(len, self._ids), default=1)
        size = settings.batch_rows or default_rows(
            run.language_model(), longest, settings.max_new_tokens
        )
        per_piece = max(1, size // n_samples)
        ordered = sorted(set(pairs), key=lambda pair: (len(self._ids[pair[0]]), pair))
        pieces = Pieces(run.progress(step), len(ordered) * n_samples, "generations")
        texts: list[Generation] = []
        calls: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ordered), per_piece):
            piece = ordered[start : start + per_piece]
            # Pieces of the planned samples keep their names.
            content = piece if n_samples == self._samples else [piece, n_samples]
            name = f"{self._protocol}-{hash_json(content)[:16]}"
            stored = run.shards.records(name)
            if stored is None:
                calls[name] = self._asked_for(piece, n_samples, size)
            else:
                pieces.finished(len(piece) * n_samples)
                texts += [Generation(**record) for record in stored]
        sizes = {name: len(call["pairs"]) * n_samples for name, call in calls.items()}
        for name, made in spread(run, decode.generate, calls, pieces, sizes):
            run.shards.put_records(name, [dataclasses.asdict(text) for text in made])
            texts += made
        return texts

    def _asked_for(self, piece: list[tuple[int, int]], n_samples: int, size: int) -> dict[str, Any]:
        """Arguments of `generate` for (prompt, arm) pairs in batches of `size` rows."""
        from steer_assets.lm.decoding import decode

        run, settings = self._run, self._run.study.generation
        keys = self._prompts["prompt_id"].to_list()
        return {
            "prompts": self._ids,
            "arms": self._additions,
            "vectors": self._values,
            "sampling": decode.Sampling(
                max_new_tokens=settings.max_new_tokens,
                n_samples=n_samples,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=random_streams.integer(run.study, "generations", run.model, run.trait),
            ),
            "scope": scopes.scope_of(run, run.language_model()),
            "prompt_keys": [
                f"{self._protocol}/{arm.vector_id}@{arm.alpha:g}/{keys[prompt]}"
                if self._independent
                else keys[prompt]
                for prompt, arm in self._asked
            ],
            "pairs": piece,
            "batch_rows": size,
        }


def _additions(
    arms: Sequence[Arm],
    vectors: tuple[Sequence[str], Sequence[int], np.ndarray],
    several: Mapping[str, Together],
) -> list[tuple[Addition, ...]]:
    """What each arm adds, by row of the vectors."""
    from steer_assets.lm.forward.intervene import Addition

    ids, layers, _ = vectors
    rows = {vector_id: row for row, vector_id in enumerate(ids)}
    found = []
    for arm in arms:
        own = several.get(arm.vector_id, Together(() if arm == UNSTEERED else (arm.vector_id,)))
        dose = arm.alpha / own.share
        found.append(tuple(Addition(layers[rows[p]], rows[p], dose) for p in own.parts))
    return found


def _first_alike(additions: Sequence[Additions], values: np.ndarray) -> list[int]:
    """For every arm, the first arm that adds the same numbers and so gives the same texts.

    A copy of a vector has the texts of its original, and dose 0 those of the unsteered model.
    """
    first: dict[object, int] = {}
    found = []
    for arm, added in enumerate(additions):
        # adding 0.0 turns -0.0 into 0.0
        steps = [(a.layer, a.alpha * values[a.vector] + 0.0) for a in added]
        key = tuple((layer, step.tobytes()) for layer, step in steps if step.any())
        found.append(first.setdefault(key, arm))
    return found


def _row(
    protocol: str,
    text: decode.Generation,
    arm: Arm,
    prompts: pl.DataFrame,
    prompt: int,
    look: int,
) -> dict[str, object]:
    prompt_id = prompts.item(prompt, "prompt_id")
    return {
        "generation_id": generation_id(protocol, arm, prompt_id, text.sample),
        "protocol": protocol,
        "vector_id": arm.vector_id,
        "alpha": arm.alpha,
        "environment": prompts.item(prompt, "environment"),
        "prompt_id": prompt_id,
        "sample": text.sample,
        "seed": text.seed,
        "prompt": prompts.item(prompt, "text"),
        "text": text.text,
        "n_tokens": len(text.token_ids),
        "finish_reason": text.finish_reason,
        "token_ids": text.token_ids,
        "log_probability": text.log_probability,
        "least_token_log_probability": text.least_token_log_probability,
        "least_token": text.least_token,
        "look": look,
    }
