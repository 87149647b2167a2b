"""Loaded language models, one at a time and shared by the steps of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import ConfigurableResource

from steer_assets.lm.opened import Opening, last_loaded, model_of

if TYPE_CHECKING:
    from steer_assets.lm.model import LanguageModel


class LanguageModels(ConfigurableResource):
    """Open models; a run loads a model once because its executor uses one process."""

    def load(self, opening: Opening) -> LanguageModel:
        """The model, from memory where it is open."""
        return model_of(opening)

    def running(self) -> dict[str, str]:
        """How the model that was loaded last runs; the last bits of results depend on it."""
        model = last_loaded()
        if model is None:
            return {}
        import torch

        from steer_assets.lm.forward.packing import kernel
        from steer_assets.lm.forward.stepping import way_of

        return {
            "device": str(model.torch_device),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "threads": str(torch.get_num_threads()),
            "rows": way_of(model),
            "linear_kernel": kernel(model),
            "processes": str(model.ranks.n if model.ranks else 1),
        }
