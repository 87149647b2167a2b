"""Decoding of user files: UTF-8 with or without a byte-order mark, or UTF-16 with one.

Excel writes "CSV UTF-8" with a byte-order mark and "Unicode text" as UTF-16; Windows editors and
PowerShell write either. A file without a mark is read as UTF-8.
"""

import codecs
from collections.abc import Iterable, Iterator

# UTF-32 comes first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(beginning: bytes) -> str:
    """The codec that the byte-order mark names, or UTF-8. The codec removes the mark."""
    return next((codec for mark, codec in _MARKS if beginning.startswith(mark)), "utf-8")


def decoded(content: bytes, errors: str = "strict") -> str:
    """The text of a whole file, without its byte-order mark; raises UnicodeDecodeError."""
    return content.decode(encoding_of(content), errors)


def decoded_lines(stream: Iterable[bytes]) -> Iterator[str]:
    """Lines of a byte stream, one at a time, without line ends; raises UnicodeDecodeError."""
    decoder: codecs.IncrementalDecoder | None = None
    rest = ""
    for part in stream:
        if decoder is None:
            decoder = codecs.getincrementaldecoder(encoding_of(part))()
        *lines, rest = (rest + decoder.decode(part)).split("\n")
        yield from (line.removesuffix("\r") for line in lines)
    rest += decoder.decode(b"", final=True) if decoder is not None else ""
    if rest:
        yield rest
