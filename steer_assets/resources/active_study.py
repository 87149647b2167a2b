"""The study that a run materialises."""

import os

from dagster import ConfigurableResource

from steer_assets.catalog import catalog
from steer_assets.catalog.studies import Study

DEFAULT_STUDY = "quick"


def default_study() -> str:
    """`STEER_STUDY`, or `quick`."""
    return os.environ.get("STEER_STUDY") or DEFAULT_STUDY


class ActiveStudy(ConfigurableResource):
    """The name of a study file in the catalog; an empty name means `STEER_STUDY`, or `quick`."""

    name: str = ""

    def load(self) -> Study:
        """Read and validate the study."""
        return catalog.study(self.name or default_study())
