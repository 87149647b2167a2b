"""Messages for errors of the environment (disk, memory, files) that name a remedy."""

import errno
from collections.abc import Iterator

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ROOM_TEXTS = ("no space left", "disk quota", "file too large", "disk full")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def is_disk_full(error: BaseException) -> bool:
    """Whether the error means a full disk; libraries report it in different ways."""
    return any(
        getattr(link, "errno", None) in _NO_ROOM
        or any(text in str(link).lower() for text in _NO_ROOM_TEXTS)
        for link in _chain(error)
    )


def explain(error: BaseException, stage: str, partition: str) -> str | None:
    """A sentence for an error of the environment; None for an error of the stage itself."""
    if is_disk_full(error):
        return (
            f"{stage} of {partition} could not be written, the disk is full ({error}); what is "
            "stored is whole, free some space and run again"
        )
    return None
