"""A drawn figure as SVG text: for a page (follows its colours) or as a separate file.

In a page, ink becomes `currentColor` and the series take CSS variables; ids are prefixed by the
figure's name, because ids must be unique within a page. Text remains text.
"""

import io
import re
import xml.etree.ElementTree as ET

from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.figures.style import FONTS, THEME, styled

_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_FAMILY = re.compile(r"'DejaVu Sans'|DejaVu Sans")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_WHITE = "#ffffff"


def render(drawn: Canvas) -> bytes:
    """The drawing as matplotlib's SVG, from which `inline` and `standalone` are made."""
    buffer = io.BytesIO()
    with styled():
        # savefig would draw everything twice.
        FigureCanvasSVG(drawn).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def inline(rendered: bytes, name: str, alt: str) -> str:
    """SVG element for a page, in which `name` must be unique; `alt` is the accessible text."""
    root = _tree(rendered)
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib = {
        "viewBox": f"0 0 {width} {height}",
        "role": "img",
        "aria-label": alt,
        "class": "chart",
    }
    _rename(root, name)
    for element in root.iter():
        if style := element.get("style"):
            element.set("style", _COLOUR.sub(_themed, style))
    return _text(root)


def standalone(rendered: bytes, alt: str) -> str:
    """SVG document with fixed colours on white, for papers and README files."""
    root = _tree(rendered)
    root.set("role", "img")
    root.set("aria-label", alt)
    paper = ET.Element(f"{{{_SVG}}}rect", {"width": "100%", "height": "100%", "fill": _WHITE})
    root.insert(0, paper)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + _text(root) + "\n"


def _tree(rendered: bytes) -> ET.Element:
    root = ET.fromstring(rendered)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for element in root.iter():
        if _HREF in element.attrib:
            element.set("href", element.attrib.pop(_HREF))
        if style := element.get("style"):
            element.set("style", _FAMILY.sub(FONTS, style))
    _drop_unused_ids(root)
    return root


def _targets(root: ET.Element) -> set[str]:
    used = {e.attrib["href"].removeprefix("#") for e in root.iter() if "href" in e.attrib}
    for element in root.iter():
        for value in element.attrib.values():
            used.update(_REFERENCE.findall(value))
    return used


def _drop_unused_ids(root: ET.Element) -> None:
    used = _targets(root)
    for element in root.iter():
        if "id" in element.attrib and element.attrib["id"] not in used:
            del element.attrib["id"]


def _rename(root: ET.Element, prefix: str) -> None:
    """Short ids, numbered in document order, with the given `prefix`."""
    ids = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    short = {old: f"{prefix}-{i}" for i, old in enumerate(ids)}
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, short[value])
            elif key == "href":
                element.set(key, "#" + short[value.removeprefix("#")])
            elif "url(#" in value:
                element.set(key, _REFERENCE.sub(lambda m: f"url(#{short[m[1]]})", value))


def _themed(match: re.Match[str]) -> str:
    return THEME.get(match[0].lower(), match[0])


def _text(root: ET.Element) -> str:
    ET.register_namespace("", _SVG)
    ET.indent(root, space="")
    return ET.tostring(root, encoding="unicode")


def pdf(drawn: Canvas, title: str) -> bytes:
    """The same drawing as a one-page PDF with embedded fonts and no date."""
    buffer = io.BytesIO()
    with styled():
        FigureCanvasPdf(drawn).print_pdf(
            buffer,
            metadata={"Title": title, "CreationDate": None, "Creator": None, "Producer": None},
        )
    return buffer.getvalue()
