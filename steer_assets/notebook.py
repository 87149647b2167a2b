"""Python access to the results: tables as polars frames, vectors by id, activations on demand.

    import steer_assets
    results = steer_assets.open_warehouse()
    results.figure("forest", "smollm2-135m-instruct", "formality")

No file or database stays open between two calls, so runs can continue and replace files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from steer_assets.catalog.errors import UnknownNameError
from steer_assets.paths import data_folder
from steer_assets.storage import schema
from steer_assets.storage.database import warehouse
from steer_assets.storage.files import hdf5, tensors
from steer_assets.storage.layout import Layout
from steer_assets.storage.slugs import validate_slug

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from steer_assets.reporting.figures.figure import Figure

_LAYER = "last/"


def open_warehouse(folder: str | Path | None = None) -> Results:
    """The results in a data folder; by default `STEER_DATA_DIR`, or `data/` of the repository.

    Raises:
        FileNotFoundError: nothing has been run there yet.
    """
    layout = Layout(Path(folder).expanduser().resolve() if folder else data_folder())
    if not layout.database.exists():
        raise FileNotFoundError(
            f"{layout.database} does not exist yet; `steer run` or `steer db sync` makes it"
        )
    return Results(layout)


class Results(Mapping[str, pl.DataFrame]):
    """Tables and views by name, each read on access.

    `results["steering_vectors"]` is a whole table, `results.table(name, trait=...)` selects rows.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def __repr__(self) -> str:
        return f"<steer-assets results in {self._layout.root}: {len(self)} tables and views>"

    def __iter__(self) -> Iterator[str]:
        yield from schema.table_statements()
        yield from schema.view_statements()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> pl.DataFrame:
        if name not in self:
            raise KeyError(str(UnknownNameError("table", name, self)))
        return self.sql(f'FROM "{name}"')

    def __contains__(self, name: object) -> bool:
        return name in tuple(self)

    def table(self, name: str, *, model: str = "", trait: str = "") -> pl.DataFrame:
        """Rows of a table or view, filtered by model or trait where given.

        Raises:
            UnknownNameError: there is no such table; the message names the nearest ones.
        """
        if name not in self:
            raise UnknownNameError("table", name, self)
        keys = {"model": model, "trait": trait}
        wanted = [f"{d} = '{validate_slug(v, d)}'" for d, v in keys.items() if v]
        return self.sql(f'FROM "{name}"' + " WHERE " * bool(wanted) + " AND ".join(wanted))

    def sql(self, query: str) -> pl.DataFrame:
        """The result of one SQL query.

        Raises:
            WarehouseBusyError: another process holds the database open for writing.
            duckdb.Error: the SQL is wrong.
        """
        return warehouse.query(self._layout, query)

    def vectors(self, model: str, trait: str) -> dict[str, np.ndarray]:
        """Steering vectors by id, such as `L15.base`: float64, units of the residual stream.

        Norms and families are in the table `steering_vectors`.

        Raises:
            FileNotFoundError: none were made for this model and trait.
        """
        path = self._layout.pair_file("vectors", model, trait, ".safetensors")
        return tensors.read_vectors(self._there(path, model, trait))

    def activations(self, model: str, trait: str) -> Activations:
        """Residual stream at the last prompt token, by layer; values are read on slicing.

        Raises:
            FileNotFoundError: none were cached for this model and trait.
        """
        path = self._layout.pair_file("activations", model, trait, ".h5")
        return Activations(self._there(path, model, trait))

    def figure(self, name: str, model: str, trait: str) -> Figure:
        """A figure of a report, drawn from the stored rows; notebooks display it inline.

        `.data` holds the plotted rows, `.caption` explains the figure, `.draw()` returns the
        matplotlib figure.

        Raises:
            UnknownNameError: there is no such figure; the message names the nearest ones.
            LookupError: there are no rows to plot; the message says why.
        """
        from steer_assets import assets  # noqa: F401 - registers the stages
        from steer_assets.pipeline.report_evidence import stored
        from steer_assets.reporting.figures.figure import Absent
        from steer_assets.reporting.pages.sections import every_chart

        evidence = stored(self._layout, model, trait)
        made = {drawn.name: drawn for chart in every_chart() for drawn in [chart(evidence)]}
        if name not in made:
            raise UnknownNameError("figure", name, made)
        found = made[name]
        if isinstance(found, Absent):
            raise LookupError(f"{name}: {found.reason}")
        return found

    @staticmethod
    def _there(path: Path, model: str, trait: str) -> Path:
        if not path.exists():
            raise FileNotFoundError(
                f"{path} does not exist; `steer run --model {model} --trait {trait}` makes it"
            )
        return path


class Activations(Mapping[int, "LazyArray"]):
    """Arrays [prompts, hidden size] by layer, and the prompt id of each row."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with hdf5.open_arrays(path) as file:
            self._layers = sorted(int(name) for name in file[_LAYER])
            self.prompt_ids = [name.decode() for name in file["prompt_ids"][...]]
            self.attributes = dict(file.attrs)

    def __repr__(self) -> str:
        return f"<activations of {len(self.prompt_ids)} prompts at layers {self._layers}>"

    def __iter__(self) -> Iterator[int]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, layer: int) -> LazyArray:
        if layer not in self._layers:
            raise KeyError(f"layer {layer} is not cached; known: {self._layers}")
        return LazyArray(self._path, f"{_LAYER}{layer}")


class LazyArray:
    """One array of a file: shape and type are known at once, values are read on slicing.

    The file is open only during a read, which also verifies its checksums.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        with hdf5.open_arrays(path) as file:
            self.shape: tuple[int, ...] = file[name].shape
            self.dtype: np.dtype = file[name].dtype

    def __repr__(self) -> str:
        return f"<{self._name}: {self.shape} {self.dtype}, on disk>"

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        with hdf5.open_arrays(self._path) as file:
            return np.asarray(file[self._name][index])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype=dtype)
