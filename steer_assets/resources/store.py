"""The data folder as a resource."""

from pathlib import Path

from dagster import ConfigurableResource

from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout


class Store(ConfigurableResource):
    """The folder of Parquet, HDF5, safetensors, reports and databases.

    An empty `data_dir` means `STEER_DATA_DIR`, or `data/` in the repository.
    """

    data_dir: str = ""

    @property
    def layout(self) -> Layout:
        """Paths under the data folder."""
        return Layout(Path(self.data_dir).resolve() if self.data_dir else data_folder())
