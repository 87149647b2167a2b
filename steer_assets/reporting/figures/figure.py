"""Figures with the data behind them, and their files."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure as Canvas

from steer_assets.processes import temporary_beside
from steer_assets.reporting.figures import svg
from steer_assets.reporting.figures.style import styled


@dataclass(frozen=True)
class Figure:
    """One figure of a report.

    name: file name without suffix, unique in a report.
    caption: how to read it and what it does not show.
    alt: text alternative for readers who cannot see it.
    data: the plotted numbers, one row per mark.
    draw: returns the drawing, for other formats.
    """

    name: str
    title: str
    caption: str
    alt: str
    data: pl.DataFrame
    draw: Callable[[], Canvas] = field(repr=False, compare=False)

    @cached_property
    def _rendered(self) -> bytes:
        return svg.render(self.draw())

    @cached_property
    def svg(self) -> str:
        """SVG element for embedding in a page; its colours follow the page."""
        return svg.inline(self._rendered, self.name, self.alt)

    @property
    def document(self) -> str:
        """SVG document with fixed colours."""
        return svg.standalone(self._rendered, self.alt)

    def _repr_svg_(self) -> str:
        """The display in a notebook."""
        return self.document


@dataclass(frozen=True)
class Absent:
    """A figure that cannot be drawn, and the reason, which is shown in its place."""

    name: str
    title: str
    reason: str


def make(
    name: str,
    title: str,
    *,
    caption: str,
    alt: str,
    data: pl.DataFrame,
    draw: Callable[[], Canvas],
) -> Figure:
    """Draw once, for both page and files.

    Raises:
        ValueError: there are no rows to plot.
    """
    if data.is_empty():
        raise ValueError(f"figure {name} has no data: say what is absent instead")

    @cache
    def drawn() -> Canvas:
        with styled():
            canvas = draw()
            if engine := canvas.get_layout_engine():
                engine.execute(canvas)
            # Freezes the layout: every format shows the same one, and it is computed once.
            canvas.set_layout_engine("none")
            return canvas

    return Figure(name, title, caption, alt, data, drawn)


def write_figures(
    figures: Iterable[Figure], folder: Path, *, pdf: bool = True, all_there_is: bool = True
) -> list[Path]:
    """Write NAME.svg, NAME.pdf and NAME.csv for every figure; returns the paths in order.

    Each file is replaced atomically, so that readers see complete files. Files of figures that are
    no longer drawn are removed, unless these are not `all_there_is`; without `pdf`, which takes
    longest because fonts are embedded, PDFs of an earlier drawing are removed, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for figure in figures:
        written.append(_write(folder / f"{figure.name}.svg", figure.document.encode()))
        if pdf:
            drawn = svg.pdf(figure.draw(), figure.title)
            written.append(_write(folder / f"{figure.name}.pdf", drawn))
        written.append(_write(folder / f"{figure.name}.csv", figure.data.write_csv().encode()))
    if all_there_is:
        for suffix in (".svg", ".pdf", ".csv"):
            for path in set(folder.glob(f"*{suffix}")) - set(written):
                path.unlink()
    return written


def _write(path: Path, content: bytes) -> Path:
    temporary = temporary_beside(path)
    temporary.write_bytes(content)
    return temporary.replace(path)
