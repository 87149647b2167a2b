"""What tests of the metadata of a materialisation share."""

import struct
import zlib

KEY = {"model": "smollm2-135m-instruct", "trait": "formality"}


def is_png(data: bytes) -> bool:
    """Whether the bytes are a PNG of which every chunk is whole."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return False
    at, kinds = 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunk = data[at + 4 : at + 8 + length]
        (checksum,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        if zlib.crc32(chunk) != checksum:
            return False
        kinds.append(chunk[:4])
        at += 12 + length
    return kinds[0] == b"IHDR" and kinds[-1] == b"IEND"
