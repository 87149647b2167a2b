"""Stage 2: models, converted once to safetensors."""

import dataclasses
import importlib.util
from pathlib import Path

import polars as pl

from steer_assets.catalog import catalog
from steer_assets.catalog.models import ModelSource
from steer_assets.catalog.studies import Study
from steer_assets.lm.loading.sources import parts_of
from steer_assets.paths import data_folder, depot_address
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.files.atomic import sweep_temporaries
from steer_assets.storage.files.hashing import fingerprint, hash_json
from steer_assets.storage.files.parquet import DamagedFileError
from steer_assets.storage.layout import Layout, PartitionKey
from steer_assets.storage.lineage import read_record

#: What `fingerprint` says of a source that is not on this host.
_ABSENT = "absent"


def _source_file(source: ModelSource) -> Path | None:
    """The local file or folder of a source, found without imports; None for hub ids."""
    if source.kind == "hub":
        return None
    if source.kind == "package":
        package, _, inside = source.location.partition("/")
        spec = importlib.util.find_spec(package)
        return Path(spec.origin).parent / inside if spec and spec.origin else None
    return Path(source.location).expanduser()


def _content(path: Path | None) -> str:
    """A digest of the source's content, including all parts of a split source."""
    parts = parts_of(path) if path is not None else []
    return fingerprint(path) if len(parts) < 2 else hash_json([fingerprint(p) for p in parts])


def _sources(key: PartitionKey, study: Study) -> dict[str, str]:
    entry = catalog.model_entry(key["model"])
    source = entry.source
    described: dict[str, object] = {"source": source.model_dump(mode="json")}
    if entry.thinking is not None:
        described["thinking"] = entry.thinking.model_dump()
    name = f"models/{key['model']}.yaml"
    if source.kind == "hub":
        return {name: hash_json(described)}
    content = _content(_source_file(source))
    if not depot_address():
        return {name: hash_json(described | {"content": content})}
    of_content = f"{name} content"
    if content == _ABSENT:
        content = _recorded(key, of_content)
    return {name: hash_json(described), of_content: content}


def _recorded(key: PartitionKey, name: str) -> str:
    """The content that the snapshot was made from; its source need not be on every host."""
    try:
        record = read_record(Layout(data_folder()), "model_snapshot", key)
    except DamagedFileError:
        record = None
    inputs = record.inputs if record else ()
    return next((one.data_version for one in inputs if one.partition == name), _ABSENT)


@stage(
    dimensions=("model",),
    group="inputs",
    kinds={"pytorch", "huggingface"},
    code_version="2",
    sources=_sources,
)
def model_snapshot(run: StageRun) -> Produced:
    """Weights as safetensors with their tokenizer, converted once from their source.

    Rejects models that need remote code, have only pickled weights, lack a tensor, or fail the
    self-test: no position depends on later tokens, no row on other rows of its batch, hooks are
    exact, cached prefixes equal plain forwards. The row in `models` holds the content hash to which
    every later artifact can be traced, the largest errors, and the number types with finite values.
    """
    from steer_assets.lm.loading import loader
    from steer_assets.lm.thinking import Markup

    entry = catalog.model_entry(run.model)
    source, thinking = entry.source, entry.thinking
    folder = run.layout.model(run.model)
    sweep_temporaries(folder.parent, folder.name)
    taken = loader.snapshot(
        loader.Source(source.kind, source.location, source.revision or None),
        folder,
        markup=Markup(**thinking.model_dump()) if thinking is not None else None,
        on_progress=run.progress("converting"),
    )
    facts, tested = taken.facts, taken.self_test
    relative = run.layout.relative(folder)
    row = {
        "source": source.location,
        "revision": source.revision,
        **dataclasses.asdict(facts),
        "self_test_causal": tested.causal,
        "self_test_batch": tested.batch,
        "self_test_hook": tested.hook,
        "self_test_prefix": tested.prefix,
        "self_test_tokens": tested.n_tokens,
        "finite_dtypes": tested.finite_dtypes,
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
            "largest error in the self-test": max(
                tested.causal, tested.batch, tested.hook, tested.prefix
            ),
            "finite in": tested.finite_dtypes,
        },
        metrics={"n_parameters": facts.n_parameters},
    )
