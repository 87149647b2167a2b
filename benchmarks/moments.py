"""Streaming moments against one float64 matrix product, and in constant memory.

    python -m benchmarks.moments [--rows 1000000] [--width 576] [--stream-rows 10000000]

Two yardsticks for the product X'X, both in one run with the moments: NumPy's `x.T @ x`, which knows
that the result is symmetric and does half the work, and the general product (BLAS dgemm).
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable

import numpy as np
from scipy.linalg import blas

from steer_assets.geometry.moments import Moments

REPEATS = 3
STREAM_BATCH = 16_384


def peak_mib() -> float:
    """Peak resident memory of this process so far, MiB (Linux reports KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def best_seconds(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Best of `REPEATS` rounds that time all runs in turn, so that load falls on all alike."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(REPEATS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def streamed(rows: int, width: int) -> dict[str, float]:
    """Seconds and peak memory of `rows` float32 vectors that arrive in batches."""
    batch = np.random.default_rng(0).standard_normal((STREAM_BATCH, width), dtype=np.float32)
    moments = Moments(width)
    start = time.perf_counter()
    for first in range(0, rows, STREAM_BATCH):
        moments.update(batch[: min(STREAM_BATCH, rows - first)])
    seconds = time.perf_counter() - start
    return {"stream_rows": moments.n, "stream_seconds": seconds, "stream_peak_mib": peak_mib()}


def against_products(rows: int, width: int) -> dict[str, float]:
    """Seconds of the moments and of both products over the same `rows` float64 vectors."""
    x = np.random.default_rng(1).standard_normal((rows, width))

    def update() -> Moments:
        moments = Moments(width)
        moments.update(x)
        return moments

    error = _relative_error(update(), x)
    seconds = best_seconds(
        {
            "moments_seconds": update,
            "symmetric_product_seconds": lambda: x.T @ x,
            "general_product_seconds": lambda: blas.dgemm(1.0, x.T, x.T, trans_b=1),
        }
    )
    return {
        "rows": rows,
        "width": width,
        **seconds,
        "ratio_to_symmetric": seconds["moments_seconds"] / seconds["symmetric_product_seconds"],
        "ratio_to_general": seconds["moments_seconds"] / seconds["general_product_seconds"],
        "relative_error_to_two_passes": error,
    }


def _relative_error(moments: Moments, x: np.ndarray) -> float:
    mean = x.mean(axis=0)
    scatter = np.zeros((x.shape[1], x.shape[1]))
    for first in range(0, x.shape[0], 100_000):
        centred = x[first : first + 100_000] - mean
        scatter += centred.T @ centred
    return float(np.linalg.norm(moments.scatter - scatter) / np.linalg.norm(scatter))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--stream-rows", type=int, default=10_000_000)
    options = parser.parse_args()
    # Memory first: the peak that the operating system reports never falls again.
    figures = streamed(options.stream_rows, options.width)
    figures |= against_products(options.rows, options.width)
    print(json.dumps({"cpus": os.cpu_count(), **figures}, indent=2))


if __name__ == "__main__":
    main()
