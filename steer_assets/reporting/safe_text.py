"""Text of unknown origin made safe: control characters are replaced by visible symbols.

The template engine escapes markup. This module replaces only characters that a browser or terminal
would interpret instead of displaying: C0 and C1 controls (the escape of an ANSI sequence becomes
visible text) and the marks that reorder bidirectional text.
"""

_KEPT = "\n\t"
_CONTROLS = [code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in _KEPT]
_REORDERING = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_SYMBOLS = {code: f"⟨U+{code:04X}⟩" for code in (*_CONTROLS, *_REORDERING)} | {0x1B: "⟨ESC⟩"}


def plain(text: str) -> str:
    """`text` with control and reordering characters replaced by visible symbols.

    A carriage return before a line feed is part of a line ending and is dropped.
    """
    return text.replace("\r\n", "\n").translate(_SYMBOLS)
