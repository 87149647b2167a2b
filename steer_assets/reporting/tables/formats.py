"""Tables for papers, terminals and pages: Markdown, LaTeX, CSV and HTML from one frame."""

import math
from collections.abc import Callable
from typing import Any

import polars as pl
from markupsafe import escape

from steer_assets.reporting.safe_text import plain

#: Shown for an estimator without a known floor.
NO_BOUND = "no bound known"
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "⊥": r"$_\perp$",
    "α": r"$\alpha$",
    "σ": r"$\sigma$",
    "±": r"$\pm$",
    "−": r"$-$",
    "≈": r"$\approx$",
    "≠": r"$\neq$",
    "√": r"$\surd$",
    "∞": r"$\infty$",
    "τ": r"$\tau$",
    "\n": " ",
}


def format_table(frame: pl.DataFrame, fmt: str) -> str:
    """`frame` as text that ends with a newline.

    Numbers are rounded to three significant digits, except in `csv`, which keeps them exactly.

    Args:
        frame: any columns.
        fmt: `md`, `latex` (needs the package booktabs), `csv` or `html`.

    Raises:
        ValueError: the format is unknown; the message lists the known ones.
    """
    try:
        write = FORMATS[fmt]
    except KeyError:
        raise ValueError(f"unknown format {fmt!r}; known: {', '.join(FORMATS)}") from None
    return write(frame)


def folded(frame: pl.DataFrame) -> pl.DataFrame:
    """Intervals as one column of text: `x`, `x_low`, `x_high` become `0.52 [0.31, 0.73]`."""
    for name in frame.columns:
        ends = [f"{name}_low", f"{name}_high"]
        if not set(ends) <= set(frame.columns):
            continue
        texts = [
            None if x is None else f"{significant(x)} [{significant(low)}, {significant(high)}]"
            for x, low, high in frame.select(name, *ends).rows()
        ]
        frame = frame.with_columns(pl.Series(name, texts, dtype=pl.String)).drop(ends)
    return frame


def cell(value: Any) -> str:
    """One value for display: three significant digits, a true minus sign, a dash for null."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return significant(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value).replace("-", "−")
    return plain(str(value))


def significant(value: float, digits: int = 3) -> str:
    """`value` to `digits` significant digits, without exponent between 1e-4 and 1e6."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "–")
    return f"{value:.{digits}g}".replace("-", "−")


def _columns(frame: pl.DataFrame) -> list[tuple[str, bool]]:
    return [(name, dtype.is_numeric()) for name, dtype in frame.schema.items()]


def _markdown(frame: pl.DataFrame) -> str:
    def escaped(text: str) -> str:
        for mark in "\\`*_{}[]<>#|~":
            text = text.replace(mark, "\\" + mark)
        return " ".join(text.split("\n"))

    columns = _columns(frame)
    lines = [
        "| " + " | ".join(escaped(name) for name, _ in columns) + " |",
        "|" + "|".join("---:" if numeric else "---" for _, numeric in columns) + "|",
    ]
    lines += ["| " + " | ".join(escaped(cell(v)) for v in row) + " |" for row in frame.rows()]
    return "\n".join(lines) + "\n"


def _latex(frame: pl.DataFrame) -> str:
    def escaped(text: str) -> str:
        return "".join(_LATEX.get(character, character) for character in text)

    columns = _columns(frame)
    alignment = "".join("r" if numeric else "l" for _, numeric in columns)
    body = [" & ".join(escaped(cell(v)) for v in row) + r" \\" for row in frame.rows()]
    head = " & ".join(escaped(name.replace("_", " ")) for name, _ in columns) + r" \\"
    lines = [
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _html(frame: pl.DataFrame) -> str:
    columns = _columns(frame)
    numeric = [' class="number"' if is_numeric else "" for _, is_numeric in columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(plain(name.replace("_", " ")))}</th>'
        for (name, _), kind in zip(columns, numeric, strict=True)
    )
    body = [
        "<tr>"
        + "".join(f"<td{kind}>{escape(cell(v))}</td>" for v, kind in zip(row, numeric, strict=True))
        + "</tr>"
        for row in frame.rows()
    ]
    rows = "\n".join(body)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n"


def _csv(frame: pl.DataFrame) -> str:
    return frame.write_csv()


FORMATS: dict[str, Callable[[pl.DataFrame], str]] = {
    "md": _markdown,
    "latex": _latex,
    "csv": _csv,
    "html": _html,
}
