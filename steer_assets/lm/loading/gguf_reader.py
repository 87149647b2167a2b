"""GGUF's own reader, without what makes it take seconds on a vocabulary.

It takes a slice of a `numpy.memmap` for every token, and each makes an object of that class. Slices
of a plain array over the same map are the same bytes in a third of the time; a header, of which no
text is read, needs the lengths of the texts alone.
"""

from __future__ import annotations

import struct
from typing import Any

import gguf
import numpy as np

_ARRAY, _STRING = gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.STRING


class Reader(gguf.GGUFReader):  # type: ignore[misc]
    """Fields and tensors of one file, as those of `gguf.GGUFReader`."""

    @property
    def data(self) -> np.ndarray:
        """The mapped file, uint8 [bytes]."""
        return self._mapped

    @data.setter
    def data(self, mapped: np.memmap) -> None:
        self._mapped = np.asarray(mapped)


class Header(Reader):
    """The same without the elements of arrays, such as the vocabulary: these have no parts."""

    def _get_field_parts(
        self, orig_offs: int, raw_type: int
    ) -> tuple[int, list[Any], list[int], list[Any]]:
        if raw_type != _ARRAY:
            found: tuple[int, list[Any], list[int], list[Any]] = super()._get_field_parts(
                orig_offs, raw_type
            )
            return found
        kind = gguf.GGUFValueType(int(self._get(orig_offs, np.uint32)[0]))
        n = int(self._get(orig_offs + 4, np.uint64)[0])
        return 12 + self._size(orig_offs + 12, kind, n), [], [], [_ARRAY, kind]

    def _size(self, start: int, kind: gguf.GGUFValueType, n: int) -> int:
        """Bytes of the n elements of an array; raises ValueError beyond the end of the file."""
        if kind == _STRING:
            end, length = start, struct.Struct(">Q" if self._is_big else "<Q")
            for _ in range(n):
                (bytes_of_text,) = length.unpack_from(self._mapped.data, end)
                end += 8 + bytes_of_text
        elif kind in self.gguf_scalar_to_np:
            end = start + n * np.dtype(self.gguf_scalar_to_np[kind]).itemsize
        else:
            raise ValueError(f"an array of {kind.name} is not supported")
        if end > len(self._mapped):
            raise ValueError("an array ends after the file")
        return end - start

    @property
    def _is_big(self) -> bool:
        return bool(self.endianess == gguf.GGUFEndian.BIG)
