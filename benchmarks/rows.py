"""The rows of the table: each measures ours and the published way in turn."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import published
from benchmarks.measure import compared, instructions, matmul_rate, rounds
from benchmarks.workload import LAYER, arms, texts, vectors
from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.loading.loader import load
from steer_assets.lm.measurements.capture import capture_last
from steer_assets.lm.measurements.derivatives import differentiate, prompt_forms
from steer_assets.lm.measurements.logits import next_token_logits
from steer_assets.lm.model import LanguageModel

NEW, SAMPLES = 40, 5


def generation(folder: Path) -> dict[str, Any]:
    """160 rows of 40 tokens: 4 prompts, 8 vectors, 5 samples; float32, and bfloat16 if it is there.

    Without instructions for it, a bfloat16 product takes several times as long as a float32 one.
    """
    full = opened(folder, "float32")
    prompts = full.encode(texts()[::25])
    table, all_arms = vectors(full, full.encode(texts()), 8), arms(8)
    tensors = torch.from_numpy(table).float()
    sampling = Sampling(NEW, n_samples=SAMPLES)
    calls = [(p, a) for p in range(4) for a in range(8)]
    sampled = [(0, 1), (1, 4), (2, 6), (3, 3)]
    scale = len(calls) / len(sampled)

    def theirs() -> None:
        for p, a in sampled:
            published.generate(full.model, prompts[p], LAYER, tensors[a], SAMPLES, NEW)

    models = [full]
    if "bfloat16" in instructions():
        models.append(opened(folder, "bfloat16"))
    ours = [lambda lm=lm: generate(lm, prompts, all_arms, table, sampling) for lm in models]
    *own, other = rounds(*ours, theirs)
    other = [scale * t for t in other]
    tokens = len(calls) * SAMPLES * NEW
    note = f"published: {len(sampled)} of {len(calls)} calls timed, scaled"
    per_token = 2 * sum(p.numel() for p in full.model.parameters())
    found = {"generation_check": _same_distribution(full, prompts, table, tensors)}
    kinds = [("", "float32", torch.float32)]
    kinds += [("_bfloat16", "bfloat16 against float32", torch.bfloat16)]
    for taken, (suffix, dtype, kind) in zip(own, kinds, strict=False):
        row = compared(taken, other, tokens, "tokens/s", dtype, note)
        fraction = per_token * row["ours"] / matmul_rate(kind)
        found |= {f"generation{suffix}": row, f"decode_fraction_of_matmul_peak{suffix}": fraction}
    return found


def _same_distribution(
    lm: LanguageModel, prompts: list[list[int]], table: np.ndarray, tensors: torch.Tensor
) -> dict[str, Any]:
    """Greedy texts of both ways, and next-token probabilities: one distribution."""
    pairs = [(i, i) for i in range(len(prompts))]
    greedy = generate(lm, prompts, arms(8), table, Sampling(NEW, temperature=0.0), pairs=pairs)
    equal, distance = 0, 0.0
    found = dict(next_token_logits(lm, prompts, arms(8), table))
    for row in greedy:
        prompt, vector = prompts[row.prompt], tensors[row.arm]
        options = {"do_sample": False, "temperature": None, "top_k": None, "top_p": None}
        (ids,) = published.generate(lm.model, prompt, LAYER, vector, 1, NEW, **options)
        equal += ids == row.token_ids
        p = torch.softmax(torch.from_numpy(found[row.prompt][row.arm]), 0)
        q = torch.softmax(published.logits(lm.model, prompt, LAYER, vector), 0)
        distance = max(distance, 0.5 * float((p - q).abs().sum()))
    return {
        "greedy_texts_equal": f"{equal} of {len(greedy)}",
        "largest_total_variation_distance": distance,
    }


def logits(folder: Path) -> dict[str, Any]:
    """Next-token logits of 20 prompts x 64 arms."""
    lm = opened(folder, "float32")
    prompts = lm.encode(texts()[::5])
    table, all_arms = vectors(lm, prompts, 64), arms(64)
    tensors = torch.from_numpy(table).float()
    sampled = [(i, (13 * i) % 64) for i in range(20)]

    def ours() -> None:
        for _ in next_token_logits(lm, prompts, all_arms, table):
            pass

    def theirs() -> None:
        for p, a in sampled:
            published.logits(lm.model, prompts[p], LAYER, tensors[a])

    own, other = rounds(ours, theirs)
    work = len(prompts) * len(all_arms)
    other = [work / len(sampled) * t for t in other]
    note = f"published: {len(sampled)} of {work} forwards timed, scaled"
    return {"logits": compared(own, other, work, "rows/s", "float32", note)}


def capture(folder: Path) -> dict[str, Any]:
    """Last-token states of 100 prompts at block 15."""
    lm = opened(folder, "float32")
    prompts = lm.encode(texts())
    own, other = rounds(
        lambda: capture_last(lm, prompts, [LAYER]),
        lambda: published.capture(lm.model, prompts, LAYER),
    )
    return {"capture": compared(own, other, len(prompts), "prompts/s", "float32", "")}


def jacobian(folder: Path) -> dict[str, Any]:
    """Jacobian at block 15 of one prompt: all dimensions exactly, against 1000 probes."""
    lm = opened(folder, "float32")
    (prompt,) = lm.encode(texts()[:1])
    directions = torch.randn((10, lm.hidden_size), generator=torch.Generator().manual_seed(0))

    def theirs() -> None:
        for direction in directions:
            published.probe(lm.model, prompt, LAYER, direction)

    own, other = rounds(lambda: list(prompt_forms(lm, [prompt], [LAYER])), theirs)
    other = [published.PROBES / len(directions) * t for t in other]
    note = (
        f"published: {len(directions)} of {published.PROBES} probes timed, scaled; ours: both forms"
    )
    row = compared(own, other, 1, "prompts/s", "float32", note)
    return {"jacobian": row} | _jacobian_errors(folder, lm, prompt, directions[:4])


def _jacobian_errors(
    folder: Path, lm: LanguageModel, prompt: list[int], directions: torch.Tensor
) -> dict[str, float]:
    """Relative error of J u over the probes, against float64 automatic differentiation."""
    exact = _exact_products(folder, prompt, directions.double())
    point = differentiate(lm, prompt, [LAYER])
    weight = lm.layout.head.weight.double()
    ours = weight @ point.jacobians[LAYER].double() @ directions.double().T
    half = opened(folder, "float16")
    probes = [published.probe(half.model, prompt, LAYER, u.half()) for u in directions]
    theirs = torch.stack(probes, dim=1).double()
    return {
        "jacobian_error_ours": float((ours - exact).norm() / exact.norm()),
        "jacobian_error_published_fp16": float((theirs - exact).norm() / exact.norm()),
    }


def _exact_products(folder: Path, prompt: list[int], directions: torch.Tensor) -> torch.Tensor:
    """J u in float64 by whole forwards and forward-mode differentiation, no cache."""
    lm = opened(folder, "float64")
    ids = torch.tensor([prompt])

    def final(move: torch.Tensor) -> torch.Tensor:
        with published.steered(lm.model, LAYER, lambda hidden: hidden + move):
            return lm.model(ids, use_cache=False).logits[0, -1]

    with lm.attention("eager"):  # the fused attention has no forward-mode derivative
        products = [torch.func.jvp(final, (torch.zeros_like(u),), (u,))[1] for u in directions]
    return torch.stack(products, dim=1)


def overhead(folder: Path) -> dict[str, Any]:
    """Decode 128 rows with 128 distinct vectors over the same rows unsteered."""
    lm = opened(folder, "float32")
    prompts = lm.encode(texts()[::25])
    table = vectors(lm, lm.encode(texts()), 128)
    pairs = [(arm % 4, arm) for arm in range(128)]
    sampling = Sampling(16)
    steered, plain = rounds(
        lambda: generate(lm, prompts, arms(128), table, sampling, pairs=pairs),
        lambda: generate(lm, prompts, [()] * 128, table, sampling, pairs=pairs),
        n=7,
    )
    ratios = [a / b for a, b in zip(steered, plain, strict=True)]
    return {"per_row_overhead": statistics.median(ratios)}


def memory(folder: Path) -> dict[str, Any]:
    """Peak resident memory of a process that decodes 512 rows of 40 tokens in one batch."""
    command = [sys.executable, "-m", "benchmarks", "--peak-rss", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"peak_rss_mb": float(done.stdout.splitlines()[-1])}


def peak_rss(folder: Path) -> float:
    """Decode 512 rows in this process and give its peak resident memory in MB."""
    lm = opened(folder, "float32")
    prompts = lm.encode(texts()[::25])
    table = vectors(lm, prompts * 5, 8)
    generate(lm, prompts, arms(8), table, Sampling(NEW, n_samples=16), batch_rows=512)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def opened(folder: Path, dtype: str) -> LanguageModel:
    """The model, whose texts all have the same length."""
    lm = load(folder, device="cpu", dtype=dtype)
    lm.stop_ids = frozenset()
    return lm
