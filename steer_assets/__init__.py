"""Are steering vectors identifiable? Evidence for any model and trait, as Dagster assets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steer_assets.version import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from steer_assets.notebook import Results

__version__ = VERSION
__all__ = ["open_warehouse"]


def open_warehouse(folder: str | Path | None = None) -> Results:
    """The results in a data folder; by default `STEER_DATA_DIR`, or `data/` of the repository.

    `open_warehouse()["v_model_trait_summary"]` returns a polars frame; see `steer_assets.notebook`.
    """
    # Imported lazily to keep `import steer_assets` cheap.
    from steer_assets import notebook

    return notebook.open_warehouse(folder)
