"""Sources of models, and checks whether a source may be read."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from steer_assets.lm.errors import (
    PickledWeightsError,
    RemoteCodeError,
    SourceError,
)
from steer_assets.lm.loading import quantised

Kind = Literal["package", "hub", "folder", "gguf"]

_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True)
class Source:
    """A model's origin.

    ``location`` is a path inside an installed package ("package/file.gguf"), a hub id, a folder or
    a GGUF file, depending on ``kind``; ``revision`` pins a hub id.
    """

    kind: Kind
    location: str
    revision: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            kinds = ", ".join(get_args(Kind))
            raise SourceError(f'source kind "{self.kind}" is not one of {kinds}')


def locate(source: Source) -> Path:
    """The checked local folder or GGUF file of ``source``, downloaded if it is a hub id."""
    if source.kind == "hub":
        path = _fetch(source)
    elif source.kind == "package":
        path = _in_package(source.location)
    else:
        path = Path(source.location)
    if path.is_dir():
        path = gguf_in(path)
    if source.kind == "gguf" or path.suffix == ".gguf":
        if not path.is_file():
            raise SourceError(f"there is no GGUF file {path}")
        return first_part(path)
    check_folder(path)
    return path


_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def parts_of(path: Path) -> list[Path]:
    """All files of the GGUF that ``path`` belongs to, in order; only itself if it is not split.

    A split GGUF is named ``NAME-00001-of-00003.gguf``; parts need not exist.
    """
    found = _PART.search(path.name)
    if found is None:
        return [path]
    stem, n = path.name[: found.start()], int(found[2])
    return [path.with_name(f"{stem}-{i:05d}-of-{n:05d}.gguf") for i in range(1, n + 1)]


def whole_stem(path: Path) -> str:
    """The name of a GGUF without suffix and part number."""
    return _PART.sub("", path.name).removesuffix(".gguf")


def gguf_in(folder: Path) -> Path:
    """The only split GGUF of a folder without config, by its first part; otherwise the folder."""
    if (folder / "config.json").exists():
        return folder
    found = {parts_of(path)[0] for path in folder.glob("*.gguf")}
    (first,) = found if len(found) == 1 else (folder,)
    return first if len(parts_of(first)) > 1 else folder


def first_part(path: Path) -> Path:
    """The first file of a split GGUF, whose header applies to all parts."""
    parts = parts_of(path)
    if missing := [part.name for part in parts if not part.is_file()]:
        raise SourceError(
            f"{path} is one of {len(parts)} parts and {', '.join(missing[:3])} "
            f"{'is' if len(missing) == 1 else 'are'} missing; put all parts into one folder"
        )
    return parts[0]


def check_folder(folder: Path) -> None:
    """Raise if ``folder`` is not a model, or its weights or code may not be read.

    Reads the config and the file names, but no weights, and rarely needs transformers.
    """
    config = folder / "config.json"
    if not config.is_file():
        if (folder / "adapter_config.json").is_file():
            raise SourceError(
                f"{folder} is an adapter; merge it into its base model and save that as safetensors"
            )
        raise SourceError(f"{folder} has no config.json; name a folder of config and safetensors")
    try:
        declared = json.loads(config.read_text())
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{config} is not JSON ({error}); fetch the model again") from error
    if not isinstance(declared, dict):
        raise SourceError(f"{config} does not hold a JSON object; fetch the model again")
    _check_code(folder, declared)
    quantised.check(folder, declared)
    _check_files(folder)


def _check_code(folder: Path, declared: dict[str, Any]) -> None:
    """A model's own code (``auto_map``) is not needed if transformers has the architecture."""
    if "auto_map" not in declared:
        return
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if declared.get("model_type") not in CONFIG_MAPPING_NAMES:
        raise RemoteCodeError(
            f"{folder} asks for code of its own (auto_map in config.json), which is never run; "
            "take a model whose architecture transformers has"
        )


def _check_files(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if index.is_file() and not (folder / "model.safetensors").is_file():
        missing = [name for name in _shards(index) if not (folder / name).is_file()]
        if missing:
            raise SourceError(
                f"{folder} lacks {len(missing)} of the files that {index.name} names "
                f"({', '.join(missing[:3])}); fetch the model again"
            )
    elif not any(folder.glob("*.safetensors")):
        if any(any(folder.glob(pattern)) for pattern in _PICKLED):
            raise PickledWeightsError(
                f"{folder} has only pickled weights, which can run code when read; convert them to "
                "safetensors first"
            )
        raise SourceError(f"{folder} has no *.safetensors; fetch the weights")


def _shards(index: Path) -> list[str]:
    try:
        return sorted({str(name) for name in json.loads(index.read_text())["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SourceError(f"{index} names no weights; fetch the model again") from error


def _in_package(location: str) -> Path:
    package, _, inside = location.partition("/")
    parts = PurePosixPath(inside).parts
    if not package.isidentifier() or ".." in parts or PurePosixPath(inside).is_absolute():
        raise SourceError(f'"{location}" is not of the form package/path/inside')
    spec = importlib.util.find_spec(package)  # imports nothing, because the name is top-level
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(f"package {package} is not installed; install it with pip --no-deps")
    path = Path(next(iter(spec.submodule_search_locations))).joinpath(*parts)
    if not path.exists():
        raise SourceError(f"package {package} has no {inside}")
    return path


def _fetch(source: Source) -> Path:
    from huggingface_hub import snapshot_download

    if source.revision is None:
        raise SourceError(f"hub model {source.location} has no revision; pin a commit")
    try:
        return Path(
            snapshot_download(source.location, revision=source.revision, allow_patterns=_WANTED)
        )
    except (OSError, ValueError) as error:
        raise SourceError(
            f"hub model {source.location} at {source.revision} cannot be fetched: {error}"
        ) from error
