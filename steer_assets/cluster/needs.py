"""Cores, GPUs and memory that a run asks for, from the size of its model and its stages."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

_GIB = 1 << 30
#: Python, torch and the tables of a run, in bytes.
_BASE = 3 * _GIB
#: Derivatives are float32 in studies of every precision.
_WIDTH = 4
#: Weights, and batches, whose size follows from what is free beside them.
_WITH_BATCHES = 1.35
#: Square float64 matrices of a pair (92 in a run of `quick` on 30 blocks), each of 8 bytes.
_MATRICES = 92 * 8
#: Converted on the processor: as read and as read back.
_SNAPSHOT = "model_snapshot"


@dataclass(frozen=True, slots=True)
class Size:
    """What resources depend on in a model."""

    n_parameters: int
    hidden_size: int


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker offers to a run.

    gpu_gib: memory of one GPU in GiB; 0 where models run on the processor.
    cpus: cores of a run that holds a model.
    """

    gpu_gib: float = 0.0
    cpus: int = 4


@dataclass(frozen=True, slots=True)
class Needs:
    """Resources of one run; memory in bytes, 0 where it is not known."""

    cpus: int
    gpus: int
    memory: int

    @property
    def size(self) -> str:
        """The name by which the queue limits runs: `light`, `model`, `gpu-1`, `gpu-2`, ..."""
        if self.gpus:
            return f"gpu-{self.gpus}"
        return "light" if self.cpus == 1 else "model"


def needs(
    size: Size | None, holding: Collection[str], worker: Worker, *, tensor_parallel: int = 1
) -> Needs:
    """Resources of a run.

    GPUs are whole, and a power of two where one is too small, because tensor parallelism divides
    heads; at least as many as the study's processes. A run on the processor has the weights in main
    memory, one on a GPU reads them there.

    Args:
        size: of the model; None where it is not known yet, or the run has none.
        holding: stages of the run that hold a language model.
        worker: what workers offer.
        tensor_parallel: processes that hold the model, of the study.
    """
    if not holding:
        return Needs(cpus=1, gpus=0, memory=_BASE)
    weights = _WIDTH * size.n_parameters if size else 0
    on_gpu = worker.gpu_gib > 0 and set(holding) != {_SNAPSHOT}
    gpus = 0
    if on_gpu:
        share = _WITH_BATCHES * weights / (worker.gpu_gib * _GIB)
        gpus = 1 << max(0, math.ceil(math.log2(share))) if share > 0 else 1
        gpus = max(gpus, tensor_parallel)
    matrices = _MATRICES * size.hidden_size**2 if size else 0
    factor = 1.0 if on_gpu else 2.0
    memory = int(_BASE + factor * weights + matrices) if size else 0
    return Needs(cpus=max(2, worker.cpus), gpus=gpus, memory=memory)


def ray_tag(asked: Needs) -> dict[str, str]:
    """The tag that dagster-ray reads."""
    config: dict[str, float] = {"num_cpus": asked.cpus, "num_gpus": asked.gpus}
    if asked.memory:
        config["memory"] = asked.memory
    return {"dagster-ray/config": json.dumps(config)}


def k8s_tag(asked: Needs) -> dict[str, str]:
    """The tag that dagster-k8s reads; GPUs by the name of NVIDIA's device plugin."""
    requests: dict[str, str] = {"cpu": str(asked.cpus)}
    if asked.memory:
        requests["memory"] = f"{math.ceil(asked.memory / 2**20)}Mi"
    resources: dict[str, Mapping[str, str]] = {"requests": requests}
    if asked.gpus:
        resources["limits"] = {"nvidia.com/gpu": str(asked.gpus)}
    return {"dagster-k8s/config": json.dumps({"container_config": {"resources": resources}})}
