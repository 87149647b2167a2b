"""Streaming moments against one float64 matrix product, and in constant memory.

    python -m benchmarks.moments [--rows 1000000] [--width 576] [--stream-rows 10000000]

Writes `moments.json` and `moments.md` beside this file, or into `--to`. Two yardsticks for the
product X'X, in one run with the moments: NumPy's `x.T @ x`, which knows that the result is
symmetric and does half the work, and the general product (BLAS dgemm). `--only stream` or
`--only product` runs one part and keeps the other's figures.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import blas
from threadpoolctl import threadpool_info

from steer_assets.geometry.null_spaces.moments import Moments

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
    """Seconds and memory of `rows` float32 vectors that arrive in batches."""
    batch = np.random.default_rng(0).standard_normal((STREAM_BATCH, width), dtype=np.float32)
    before = peak_mib()
    moments = Moments(width)
    start = time.perf_counter()
    for first in range(0, rows, STREAM_BATCH):
        moments.update(batch[: min(STREAM_BATCH, rows - first)])
    seconds = time.perf_counter() - start
    return {
        "rows": moments.n,
        "width": width,
        "seconds": seconds,
        "peak_mib": peak_mib(),
        "growth_mib": peak_mib() - before,
    }


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


def machine() -> dict[str, object]:
    """What the figures belong to."""
    blas_of = {
        Path(pool["filepath"]).name.partition("-")[0] + f" of {Path(pool['filepath']).parts[-2]}": (
            f"{pool['version']}, {pool.get('architecture')}, {pool['num_threads']} threads"
        )
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }
    told = {name: os.environ[name] for name in sorted(os.environ) if name.startswith("OPENBLAS_")}
    load = round(os.getloadavg()[0], 2)
    return {"cpus": os.cpu_count(), "blas": blas_of, "told": told, "load_average": load}


def page(figures: dict[str, dict[str, Any]]) -> str:
    """The figures as a page, each beside its bar."""
    stream, product = figures["stream"], figures["product"]
    rows = [
        ("moments", f"{product['moments_seconds']:.2f} s", ""),
        ("`x.T @ x`, half the work of", f"{product['symmetric_product_seconds']:.2f} s", ""),
        ("the general product (dgemm)", f"{product['general_product_seconds']:.2f} s", ""),
        ("moments / general product", f"{product['ratio_to_general']:.2f}", "<= 1.3"),
        ("moments / `x.T @ x`", f"{product['ratio_to_symmetric']:.2f}", "<= 1.3"),
        ("difference to two passes", f"{product['relative_error_to_two_passes']:.1e}", "<= 1e-10"),
        ("largest memory of the process", f"{stream['peak_mib']:.0f} MiB", "< 500 MB"),
        ("growth of it while streaming", f"{stream['growth_mib']:.0f} MiB", "< 500 MB"),
        ("streaming rate", f"{stream['rows'] / stream['seconds'] / 1e3:.0f} thousand/s", ""),
    ]
    table = "".join(f"| {what} | {value} | {bar} |\n" for what, value, bar in rows)
    machines = "".join(
        f"{part}: {json.dumps(figures[part]['machine'])}\n\n" for part in ("product", "stream")
    )
    return f"""# Streaming moments

`python -m benchmarks.moments` writes this page. Times are the best of {REPEATS} rounds that
take all three in turn, of {product["rows"]:,} x {product["width"]} float64 in memory; memory is
that of {stream["rows"]:,} float32 vectors of width {stream["width"]}, {STREAM_BATCH:,} at a time.

| what | value | bar |
|---|---|---|
{table}
{machines.strip()}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--stream-rows", type=int, default=10_000_000)
    parser.add_argument("--only", choices=["stream", "product"])
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    path = options.to / "moments.json"
    figures = json.loads(path.read_text()) if options.only and path.exists() else {}
    # Memory first: the peak that the operating system reports never falls again.
    if options.only != "product":
        figures["stream"] = streamed(options.stream_rows, options.width)
        figures["stream"]["machine"] = machine()
    if options.only != "stream":
        figures["product"] = against_products(options.rows, options.width)
        figures["product"]["machine"] = machine()
    path.write_text(json.dumps(figures, indent=2) + "\n")
    if figures.keys() >= {"stream", "product"}:
        (options.to / "moments.md").write_text(page(figures))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
