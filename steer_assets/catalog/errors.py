"""Errors of the catalog: one sentence with file, line, field and what was expected."""

import difflib
from collections.abc import Iterable


class CatalogError(ValueError):
    """A catalog file or key that cannot be used; raised before anything is written."""


class UnknownNameError(CatalogError):
    """An undefined model, trait, study or vector."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {what} {name!r}; {hint}")


class NoLabelledTextsError(CatalogError):
    """A trait without labelled texts: no scorer can be fitted or validated for it."""
