"""The user's catalog and vectors, carried between this host and the depot."""

import warnings

from steer_assets.catalog import catalog
from steer_assets.paths import data_folder
from steer_assets.storage.depot.carried import Carried, CarriedFiles
from steer_assets.storage.depot.depot import configured
from steer_assets.storage.depot.objects import DepotError


def carry(*, store: bool) -> Carried:
    """Bring what changed in the depot and, if `store`, store what changed here.

    Raises:
        DepotError: the depot does not answer, or an object of it is damaged.
    """
    depot = configured()
    if depot is None:
        return Carried()
    places = {"catalog": catalog.user_catalog(), "external": data_folder() / "external"}
    memory = data_folder() / "depot" / "carried.json"
    return CarriedFiles(depot, places, memory).carry(store=store)


def bring() -> None:
    """Bring what changed, before partitions are made of it; what is wrong becomes a warning.

    Without an answer of the depot the catalog of this host counts, so that pages still open.
    """
    try:
        problems = carry(store=False).conflicts
    except DepotError as error:
        problems = [str(error)]
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
