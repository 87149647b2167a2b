"""Keys that become partition names, folder names and SQL values.

One rule for all of them, checked before any file or SQL is touched: Dagster splits partition keys
on ``|`` and ``,``, paths are split on ``/``, and ``..`` would leave the data folder.
"""

import re

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


class InvalidKeyError(ValueError):
    """A model, trait or study key that may not become a path or a partition."""


def is_slug(key: str) -> bool:
    """Whether `key` may become a path and a partition."""
    return _SLUG.fullmatch(key) is not None and ".." not in key


def validate_slug(key: str, what: str = "key") -> str:
    """Return `key` unchanged, or raise `InvalidKeyError` naming the rule it breaks."""
    if not is_slug(key):
        raise InvalidKeyError(
            f"{what} {key!r} is not allowed: use 1 to 80 of a-z 0-9 . _ -, "
            "starting with a letter or digit, without '..'"
        )
    return key


def slug_of_hub_id(hub_id: str) -> str:
    """`Qwen/Qwen2.5-0.5B-Instruct` -> `qwen--qwen2.5-0.5b-instruct`."""
    return validate_slug(hub_id.lower().replace("/", "--"), "model")
