"""Pieces on one and on two engines of one thread: ``python -m benchmarks.engines``.

Texts, their likelihoods and gradients, and derivatives on the embedded model, cut as stages cut
them. One and two engines take turns, best of three; results must be those of one call here, to the
last bit, and sampled tokens the same.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks.__main__ import EMBEDDED
from benchmarks.measure import seconds
from benchmarks.workload import LAYER, arms, texts, vectors
from steer_assets.lm.chat import DEFAULT_DATE
from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.engines import on_model
from steer_assets.lm.loading.loader import Source, snapshot
from steer_assets.lm.measurements.derivatives import PromptForms, prompt_forms
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.opened import Opening, model_of
from steer_assets.lm.texts.gradients import GradientText, text_gradients
from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods
from steer_assets.lm.texts.parts import Part, parts_of_gradients, parts_of_readings
from steer_assets.parallel_processes import Piece, Processes

_SAMPLING, _SHORT = Sampling(24), Sampling(16)
_PIECES, _ROWS = 6, 64  # of texts
_ROUNDS = 3


@dataclass(frozen=True)
class _Job:
    """``here`` gives all results in one call, ``joined`` the same numbers from those of pieces."""

    name: str
    work: int
    unit: str
    pieces: list[Piece]
    here: Callable[[], list[np.ndarray]]
    joined: Callable[[dict[int, Any]], list[np.ndarray]]


def main() -> None:
    """Print a row for each kind of piece."""
    torch.set_num_threads(1)  # as engines have; with more, the last bits of gradients differ
    pools = [Processes(1), Processes(2)]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "smollm2"
        snapshot(Source("package", EMBEDDED), folder)
        opening = Opening(folder, ("", ""), DEFAULT_DATE, "cpu", "float32")
        lm = model_of(opening)
        print(f"load average {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores", flush=True)
        try:
            texts_themselves = _generations(lm, opening)
            for job in (texts_themselves, *_of_texts(lm, opening), _derivatives(lm, opening)):
                _measure(job, pools)
        finally:
            for pool in pools:
                pool.close()


def _processor_seconds() -> float:
    """Of this process and its engines, together."""
    own = psutil.Process()
    every = [one.cpu_times() for one in (own, *own.children(recursive=True))]
    return sum(times.user + times.system for times in every)


def _measure(job: _Job, pools: Sequence[Processes]) -> None:
    before = _processor_seconds()
    expected = job.here()
    print(f"{job.name}: {_processor_seconds() - before:.1f} s of a processor here", flush=True)
    for pool in pools:
        dict(pool.run(job.pieces[:2]))  # the engines load the model
    taken: list[list[float]] = [[], []]
    used: list[list[float]] = [[], []]
    for _ in range(_ROUNDS):
        for pool, own, processor in zip(pools, taken, used, strict=True):
            found: dict[int, Any] = {}
            before = _processor_seconds()
            own.append(seconds(lambda pool=pool, found=found: found.update(pool.run(job.pieces))))
            processor.append(_processor_seconds() - before)
            for one, other in zip(job.joined(found), expected, strict=True):
                assert np.array_equal(one, other), f"{job.name}: another result"
    one, two = (job.work / min(own) for own in taken)
    print(
        f"{job.name}: {one:.2f} {job.unit}/s with one engine, {two:.2f} with two "
        f"({two / one:.2f} times), {min(used[0]):.1f} and {min(used[1]):.1f} s of processors, "
        f"{len(job.pieces)} pieces, load average {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def _derivatives(lm: LanguageModel, opening: Opening) -> _Job:
    prompts = lm.encode(texts()[::25])

    def numbers(forms: Sequence[PromptForms]) -> list[np.ndarray]:
        return [form.fisher[LAYER] for form in forms] + [
            form.jacobian_gram[LAYER] for form in forms
        ]

    return _Job(
        "forms of prompts",
        len(prompts),
        "prompts",
        [on_model(opening, 1, prompt_forms, {"prompts": [p], "layers": [LAYER]}) for p in prompts],
        lambda: numbers(list(prompt_forms(lm, prompts, [LAYER]))),
        lambda found: numbers([found[number][0] for number in range(len(prompts))]),
    )


def _generations(lm: LanguageModel, opening: Opening) -> _Job:
    prompts = lm.encode(texts()[: _PIECES * _ROWS // 4])
    asked: dict[str, Any] = {
        "prompts": prompts,
        "arms": [(), *arms(3)],
        "vectors": vectors(lm, prompts, 3),
        "sampling": _SHORT,
        "batch_rows": _ROWS,
    }
    pairs = [(prompt, arm) for prompt in range(len(prompts)) for arm in range(4)]
    parts = [pairs[start : start + _ROWS] for start in range(0, len(pairs), _ROWS)]
    return _Job(
        "texts",
        len(pairs) * _SHORT.max_new_tokens,
        "tokens",
        [on_model(opening, 1, generate, {**asked, "pairs": part}) for part in parts],
        lambda: [np.array(text.token_ids) for text in generate(lm, **asked, pairs=pairs)],
        lambda found: [
            np.array(text.token_ids) for number in range(len(parts)) for text in found[number]
        ],
    )


def _of_texts(lm: LanguageModel, opening: Opening) -> list[_Job]:
    prompts = lm.encode(texts()[::9])
    table, every = vectors(lm, prompts, 3), [(), *arms(3)]
    made = generate(lm, prompts, every, table, _SAMPLING)
    read = [SampledText(t.prompt, t.arm, tuple(t.token_ids), (0, 1)) for t in made]
    graded = [GradientText(t.prompt, t.arm, tuple(t.token_ids)) for t in made if t.arm < 2]
    points = [(LAYER, arm) for arm in every[:2]]
    of_readings: dict[str, Any] = {"arms": every, "vectors": table, "sampling": _SAMPLING}
    of_gradients: dict[str, Any] = {"points": points, "vectors": table, "sampling": _SAMPLING}

    def pieces(work: Callable[..., Any], parts: Sequence[Part[Any]], more: Any) -> list[Piece]:
        return [
            on_model(
                opening,
                1,
                work,
                {
                    "prompts": part.prompts,
                    "texts": part.texts,
                    "beside": range(len(part.prompts)),
                    **more,
                },
            )
            for part in parts
        ]

    def in_order(parts: Sequence[Part[Any]], found: dict[int, Any]) -> list[Any]:
        rows = {
            row: value
            for number, part in enumerate(parts)
            for row, value in zip(part.rows, found[number], strict=True)
        }
        return [rows[row] for row in sorted(rows)]

    def numbers(readings: Sequence[Any]) -> list[np.ndarray]:
        return [x for one in readings for arm in sorted(one) for x in (one[arm].log_p, one[arm].kl)]

    by_prompts, by_points = parts_of_readings(prompts, read), parts_of_gradients(prompts, graded)
    return [
        _Job(
            "likelihoods of texts",
            sum(len({text.arm, *text.others}) for text in read),
            "readings",
            pieces(text_likelihoods, by_prompts, of_readings),
            lambda: numbers(text_likelihoods(lm, prompts, read, **of_readings)),
            lambda found: numbers(in_order(by_prompts, found)),
        ),
        _Job(
            "gradients of texts",
            len(graded),
            "texts",
            pieces(text_gradients, by_points, of_gradients),
            lambda: list(text_gradients(lm, prompts, graded, **of_gradients)),
            lambda found: in_order(by_points, found),
        ),
    ]


if __name__ == "__main__":
    main()
