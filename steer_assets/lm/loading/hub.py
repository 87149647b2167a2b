"""The commit that a revision of a hub model stands for: asked of the hub, or of the local cache."""

from __future__ import annotations

import re
from pathlib import Path

from steer_assets.lm.errors import SourceError
from steer_assets.lm.loading_report import first_line

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_S = 10.0


def commit_of(location: str, revision: str) -> str:
    """The commit of a branch, a tag or the start of a commit; a whole commit is itself.

    Raises:
        SourceError: there is no such model or revision, or neither hub nor cache can say.
    """
    if _COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        found = HfApi().model_info(location, revision=revision, timeout=_TIMEOUT_S).sha
    except RevisionNotFoundError as error:
        raise SourceError(f"hub model {location} has no revision {revision!r}") from error
    except RepositoryNotFoundError as error:
        raise SourceError(
            f"the hub has no model {location}, or shows it to its members alone"
        ) from error
    except Exception as error:  # offline, or whatever the client's transport raises
        return _cached(location, revision, first_line(error))
    if found is None:
        raise SourceError(f"the hub names no commit of {location} at {revision}")
    return found


def _cached(location: str, revision: str, why: str) -> str:
    """The commit that the local cache has of a revision."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=location, repo_type="model")
    branch = folder / "refs" / revision
    if ".." not in Path(revision).parts and branch.is_file():
        return branch.read_text().strip()
    snapshots = [path.name for path in folder.glob("snapshots/*") if _COMMIT.fullmatch(path.name)]
    named = [name for name in snapshots if name.startswith(revision)]
    if len(named) == 1:
        return named[0]
    raise SourceError(
        f"the hub cannot be asked for {revision!r} of {location} ({why.rstrip('.')}), and the "
        f"local cache does not have it; pin {location} with --revision COMMIT"
    )
