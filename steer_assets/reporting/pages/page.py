"""Templates: one environment for all pages, which escapes markup and control characters."""

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from steer_assets.reporting.safe_text import plain
from steer_assets.reporting.tables.formats import cell, significant
from steer_assets.reporting.verdict_text import SYMBOLS, number, percent


def _visible(value: Any) -> Any:
    """Texts of unknown origin without control characters; markup made here is unchanged."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return plain(value)
    return value


_BOUND = re.compile(r"(?<=\bv) \+ (?=v⊥)|(?<=[αp]) ([=<]) (?=\d)|(?<=\d) (?=SD\b)")


def _bound(text: str) -> str:
    """`text` with non-breaking spaces, as in v + v⊥, α = 1, p < 0.001, 0.2 SD."""
    return _BOUND.sub(lambda found: found[0].replace(" ", "\u00a0"), text)


@cache
def environment() -> Environment:
    """Jinja with escaping in every template and an error for every undefined name."""
    jinja = Environment(
        loader=PackageLoader("steer_assets.reporting.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters |= {
        "number": number,
        "percent": percent,
        "significant": significant,
        "cell": cell,
        "bound": _bound,
        "words": lambda name: name.replace("_", " "),
        "sentence": lambda text: text if text.endswith((".", "?", "!")) else text + ".",
    }
    jinja.globals |= {"symbols": SYMBOLS, "style": asset("style.css")}
    return jinja


@cache
def asset(name: str) -> Markup:
    """A file of this package that is inserted into pages unchanged."""
    return Markup((resources.files(__package__) / "templates" / name).read_text("utf-8").strip())


def policy(script: str = "") -> str:
    """Content security policy: nothing is loaded from anywhere, no script but `script` runs."""
    scripts = "'none'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        scripts = f"'sha256-{digest}'"
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {scripts}; "
        "base-uri 'none'; form-action 'none'"
    )
