"""Loaded language models, one at a time and shared by the steps of a run."""

from __future__ import annotations

import datetime
import gc
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import ConfigurableResource

if TYPE_CHECKING:
    from steer_assets.lm.model import LanguageModel

#: Content hashes of weights and tokenizer, what the chat template is given, device, number type,
#: number of processes.
_Identity = tuple[str, str, tuple[datetime.date, bool | None], str, str, int]
_Loaded = tuple[_Identity, "LanguageModel"]
_loaded: list[_Loaded] = []


class LanguageModels(ConfigurableResource):
    """Cache of loaded models; a run loads a model once because its executor uses one process."""

    def load(
        self,
        folder: Path,
        sha256: str,
        tokenizer_sha256: str,
        *,
        date: datetime.date,
        enable_thinking: bool | None = None,
        device: str,
        dtype: str,
        tensor_parallel: int = 1,
    ) -> LanguageModel:
        """The model in `folder` with these content hashes, and what its chat template is given."""
        from steer_assets.lm.decoding.memory import small
        from steer_assets.lm.loading import loader

        given = (date, enable_thinking)
        identity = (sha256, tokenizer_sha256, given, device, dtype, tensor_parallel)
        for known, model in _loaded:
            if known == identity and not _lost(model):
                return model
        # One model is in memory at a time; a small one may be in memory in several number types.
        _loaded[:] = [
            (known, kept)
            for known, kept in _loaded
            if known[:3] == identity[:3] and known[5] == tensor_parallel
            if small(kept) and not _lost(kept)
        ]
        # hooks form reference cycles, which keep the model in memory until the next collection
        gc.collect()
        model = loader.load(
            folder,
            device=device,
            dtype=dtype,
            date=date,
            enable_thinking=enable_thinking,
            tensor_parallel=tensor_parallel,
        )
        _loaded.append((identity, model))
        return model

    def running(self) -> dict[str, str]:
        """How the model that was loaded last runs; the last bits of results depend on it."""
        if not _loaded:
            return {}
        import torch

        from steer_assets.lm.forward.packing import kernel
        from steer_assets.lm.forward.stepping import way_of

        model = _loaded[-1][1]
        return {
            "device": str(model.torch_device),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "threads": str(torch.get_num_threads()),
            "rows": way_of(model),
            "linear_kernel": kernel(model),
            "processes": str(model.ranks.n if model.ranks else 1),
        }


def _lost(model: LanguageModel) -> bool:
    """Whether a process that held a part of the model is no more."""
    return model.ranks is not None and bool(model.ranks.lost)
