"""Surface features of style, which the uncased encoder does not represent well.

Casing, contractions, punctuation and word length carry much of formality (Pavlick & Tetreault, "An
Empirical Analysis of Formality in Online Communication", TACL 2016, table 4). Shares are per word,
so that they do not depend on length.
"""

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?]+\s+")
_CONTRACTION = re.compile(
    r"\w['’](?:t|s|re|ve|ll|d|m)\b"
    r"|\b(?:dont|cant|wont|didnt|doesnt|isnt|im|ive|thats|youre|gonna|wanna|gotta)\b",
    re.IGNORECASE,
)
_LOWER_I = re.compile(r"\bi\b")
_REPEATED_END = re.compile(r"[!?]{2,}|\.{2,}")
_EMOTICON = re.compile(r"[:;]-?[)(DPp]")
_LONG_WORD = 7

NAMES = (
    "mean word length",
    "share of long words",
    "contractions per word",
    "share of sentences that begin with a capital",
    "lower-case i per word",
    "share of words in capitals",
    "has repeated end marks",
    "exclamation marks per word",
    "commas per word",
    "has an emoticon",
)


def surface_features(texts: Sequence[str]) -> Float[np.ndarray, "n k"]:
    """The features of ``NAMES``, float64 [n, 10]; finite for any text, zeros for the empty one."""
    return np.array([_features(text) for text in texts], dtype=np.float64).reshape(-1, len(NAMES))


def _features(text: str) -> list[float]:
    words = _WORD.findall(text)
    sentences = [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]
    n_words, n_sentences = max(len(words), 1), max(len(sentences), 1)
    return [
        sum(map(len, words)) / n_words,
        sum(len(word) >= _LONG_WORD for word in words) / n_words,
        len(_CONTRACTION.findall(text)) / n_words,
        sum(sentence[0].isupper() for sentence in sentences) / n_sentences,
        len(_LOWER_I.findall(text)) / n_words,
        sum(len(word) > 1 and word.isupper() for word in words) / n_words,
        float(_REPEATED_END.search(text) is not None),
        text.count("!") / n_words,
        text.count(",") / n_words,
        float(_EMOTICON.search(text) is not None),
    ]
