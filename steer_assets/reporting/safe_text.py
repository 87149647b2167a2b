"""Text of unknown origin made visible: control characters become symbols, never actions.

Escaping of markup is left to the template engine. Here only those characters are replaced that a
browser, a terminal or a reader would obey instead of showing: C0 and C1 controls (so that the
escape of an ANSI sequence is seen as text) and the marks that reorder bidirectional text.
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
