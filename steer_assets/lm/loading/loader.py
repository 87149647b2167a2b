"""Loading of models: ``snapshot`` converts any source into one local format, ``load`` opens it.

Sources are a hub id with pinned revision, a local folder, a GGUF file, or either inside an
installed package (found without importing it). The model's own code is never run and pickled
weights are never read.
"""

from __future__ import annotations

import datetime
import gc
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from steer_assets.lm.chat import DEFAULT_DATE
from steer_assets.lm.errors import LanguageModelError, SnapshotError
from steer_assets.lm.forward import known_ways
from steer_assets.lm.layout import find_layout
from steer_assets.lm.loading import divided
from steer_assets.lm.loading.reading import pretrained, read
from steer_assets.lm.loading.snapshots import SnapshotFacts, facts
from steer_assets.lm.loading.sources import Source, check_folder, locate
from steer_assets.lm.model import DTYPES, LanguageModel
from steer_assets.lm.progress import Meter, OnProgress
from steer_assets.lm.self_test.self_test import SelfTest, require_sound
from steer_assets.lm.tensor_parallel import ranks
from steer_assets.lm.thinking import Markup, Thinking, declared, write
from steer_assets.lm.tokenizers import read_tokenizer
from steer_assets.processes import temporary_beside

__all__ = ["SelfTest", "Snapshot", "SnapshotFacts", "Source", "facts", "load", "snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """Facts of a snapshot, and the results of its self-test."""

    facts: SnapshotFacts
    self_test: SelfTest


def snapshot(
    source: Source,
    destination: Path,
    *,
    markup: Markup | None = None,
    on_progress: OnProgress = None,
) -> Snapshot:
    """Write config, safetensors and tokenizer of ``source`` to the folder ``destination``.

    ``markup`` is that of sections of thinking, where it is declared.

    Written to a temporary sibling, read back, compared bit by bit and tested, then renamed: an
    existing folder is complete and has passed. GGUF weights are dequantised to float32. Raises
    SourceError, RemoteCodeError, PickledWeightsError, QuantisedWeightsError, WeightsError,
    TokenizerError, UnknownLayoutError, SelfTestError or SnapshotError, leaving ``destination`` as
    it was.
    """
    meter = Meter(on_progress, 5, "stages")
    destination.parent.mkdir(parents=True, exist_ok=True)
    path = locate(source)
    meter.advance(1)
    # The process id in the name allows a later writer to remove what a killed one left.
    work = temporary_beside(destination)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        with _without_bars():
            model, tokenizer = read(path)
            find_layout(model)
            meter.advance(1)
            model.save_pretrained(work)
            tokenizer.save_pretrained(work)
            if markup is not None:
                write(work, markup)
            meter.advance(1)
            written = _digests(model)
            del model  # before it is read again, so that one is in memory at a time
            gc.collect()
            _verify(written, work)
        meter.advance(1)
        tested = require_sound(lambda dtype: _opened(work, "auto", dtype), source.location)
        (work / known_ways.NAME).write_text(tested.stepping)
        found = facts(work)
        work.chmod(0o755)
        for part in work.iterdir():
            part.chmod(0o644)
        if destination.exists():
            shutil.rmtree(destination)
        work.rename(destination)
        meter.advance(1)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Snapshot(found, tested)


def load(
    folder: Path,
    *,
    device: str = "auto",
    dtype: str = "float32",
    threads: int | None = None,
    date: datetime.date = DEFAULT_DATE,
    enable_thinking: bool | None = None,
    tensor_parallel: int = 1,
) -> LanguageModel:
    """Open a snapshot, or any folder of config, safetensors and tokenizer.

    ``device`` is "cpu", "cuda", "cuda:1" or "auto" (a GPU where there is one); ``dtype`` float32,
    bfloat16, float16 or float64; ``threads`` sets torch's thread count for the process; ``date``
    and ``enable_thinking`` are given to the chat template. With ``tensor_parallel`` above 1 the
    weights are divided among as many processes, one for each GPU where there are any; raises
    LanguageModelError for a model that cannot be, RankError if a process is lost.
    """
    if dtype not in DTYPES:
        raise LanguageModelError(f'dtype "{dtype}" is not one of {", ".join(sorted(DTYPES))}')
    if threads is not None:
        torch.set_num_threads(threads)
    check_folder(folder)
    if tensor_parallel > 1:
        backend = divided.backend(device, tensor_parallel)
        plan = divided.plan_of(folder, tensor_parallel)
        opened: LanguageModel = ranks.leader(tensor_parallel, backend).open(
            _open_part, tensor_parallel, plan, folder, device, dtype, date, enable_thinking
        )
        return opened
    lm = _opened(folder, device, dtype, date, enable_thinking)
    known_ways.recall(lm, folder)
    return lm


def _open_part(
    n: int,
    plan: dict[str, str],
    folder: Path,
    device: str,
    dtype: str,
    date: datetime.date,
    enable_thinking: bool | None,
) -> LanguageModel:
    """This rank's part of a model; every rank runs it."""
    lm = _opened(folder, device, dtype, date, enable_thinking, plan=plan, n=n)
    lm.divide(ranks.own(n))
    if lm.torch_dtype.itemsize >= 4:  # others are not differentiated
        divided.require_same_gradients(lm, type(lm.model).__name__)
    known_ways.recall(lm, folder)
    return lm


def _opened(
    folder: Path,
    device: str,
    dtype: str,
    date: datetime.date = DEFAULT_DATE,
    enable_thinking: bool | None = None,
    plan: dict[str, str] | None = None,
    n: int = 1,
) -> LanguageModel:
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    with _without_bars():
        if plan is None:
            model = pretrained(folder, dtype=DTYPES[dtype])
        else:
            model = divided.pretrained_part(folder, plan, n, dtype=DTYPES[dtype])
    thinking = Thinking(enable_thinking, declared(folder))
    return LanguageModel(model.to(place), read_tokenizer(folder), date, thinking)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Disables transformers' progress bars; progress is reported through ``on_progress``."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _digests(model: Any) -> dict[str, tuple[torch.dtype, bytes]]:
    """Number type and content of every tensor."""
    return {
        name: (tensor.dtype, hashlib.sha256(_bytes(tensor)).digest())
        for name, tensor in model.state_dict().items()
    }


def _verify(written: dict[str, tuple[torch.dtype, bytes]], folder: Path) -> None:
    read = _digests(pretrained(folder, dtype="auto"))
    wrong = [name for name in written.keys() | read.keys() if written.get(name) != read.get(name)]
    if wrong:
        raise SnapshotError(
            f"{len(wrong)} tensors did not read back as written, {sorted(wrong)[0]} first; "
            "check the disk and take the snapshot again"
        )


def _bytes(tensor: torch.Tensor) -> Any:
    """Its bytes, in which NaN is equal to itself; not copied where they lie in one piece."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
