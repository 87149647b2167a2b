"""Stage 2: models, brought once into safetensors."""

import dataclasses
import importlib.util
from pathlib import Path

import polars as pl

from steer_assets.assets.stage import Produced, Rows, StageRun, stage
from steer_assets.catalog import catalog
from steer_assets.catalog.models import ModelSource
from steer_assets.catalog.studies import Study
from steer_assets.storage.atomic import sweep_temporaries
from steer_assets.storage.hashing import fingerprint, hash_json
from steer_assets.storage.layout import PartitionKey


def _source_file(source: ModelSource) -> Path | None:
    """The local file or folder of a source, found without importing anything; None for hub ids."""
    if source.kind == "hub":
        return None
    if source.kind == "package":
        package, _, inside = source.location.partition("/")
        spec = importlib.util.find_spec(package)
        return Path(spec.origin).parent / inside if spec and spec.origin else None
    return Path(source.location).expanduser()


def _sources(key: PartitionKey, study: Study) -> dict[str, str]:
    source = catalog.model_entry(key["model"]).source
    described: dict[str, object] = {"source": source.model_dump(mode="json")}
    if source.kind != "hub":
        described["content"] = fingerprint(_source_file(source))
    return {f"models/{key['model']}.yaml": hash_json(described)}


@stage(
    dimensions=("model",),
    group="inputs",
    kinds={"pytorch", "huggingface"},
    code_version="2",
    sources=_sources,
)
def model_snapshot(run: StageRun) -> Produced:
    """Weights as safetensors with their tokenizer, converted once from wherever they come.

    Refuses models that need remote code or have only pickled weights. The row in `models` holds
    the content hash that every later artifact can be traced to.
    """
    from steer_assets.lm import loading

    source = catalog.model_entry(run.model).source
    folder = run.layout.model(run.model)
    sweep_temporaries(folder.parent, folder.name)
    facts = loading.snapshot(
        loading.Source(source.kind, source.location, source.revision or None),
        folder,
        on_progress=run.progress("converting"),
    )
    relative = run.layout.relative(folder)
    row = {
        "source": source.location,
        "revision": source.revision,
        **dataclasses.asdict(facts),
        "path": relative,
    }
    version = hash_json([facts.sha256, facts.tokenizer_sha256])
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return Produced(
        rows=[Rows("models", pl.DataFrame([row]))],
        files={run.layout.relative(path): version for path in files},
        metadata={
            "architecture": facts.architecture,
            "blocks": facts.n_layers,
            "hidden size": facts.hidden_size,
            "parameters": facts.n_parameters,
        },
        metrics={"n_parameters": facts.n_parameters},
    )
