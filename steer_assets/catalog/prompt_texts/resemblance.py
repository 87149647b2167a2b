"""Near-duplicate texts, which are counted as two prompts but carry the information of one.

**Resemblance**: the Jaccard index of the sets of 5-character pieces of two texts is at least
`THRESHOLD`, after normalising case, punctuation and blanks. One word of ten replaced leaves 0.67 to
0.74, an added "please" 0.84; of the 500,000 pairs of built-in prompts, which were written
individually and share openings ("What should someone do if ..."), none exceeds 0.60.

**Series**: in a short text one word of three makes up most of the pieces, so that "Write about
dogs" and "Write about cats" do not resemble each other (0.47). They are found by their frame, the
text without one word or two consecutive words. A few texts may share one ("What is a bond?").
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

THRESHOLD = 0.65
#: Number of texts that may share a frame; more are a series.
MOST_OF_A_FRAME = 7
#: Number of texts compared, to bound the cost; a larger trait is a data set with its own curation.
MOST = 5_000
_SIZE = 5
#: Longest text, in words, searched for frames; one word of a longer text changes little.
_LONGEST_FRAME = 12
_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Resemblance:
    """Indices of two texts, the earlier one first, and their similarity; 1 means equal."""

    first: int
    second: int
    similarity: float


def normalised(text: str) -> str:
    """A text without case, punctuation and blanks; unchanged if nothing would be left."""
    even = unicodedata.normalize("NFKC", text).casefold()
    return _NO_WORD.sub(" ", even).strip() or text


def pieces(text: str) -> frozenset[str]:
    """All substrings of 5 characters of a normalised text; a shorter text is one piece."""
    even = f" {normalised(text)} "
    return frozenset(even[i : i + _SIZE] for i in range(max(1, len(even) - _SIZE + 1)))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """The Jaccard index: size of the intersection over size of the union."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def resemblances(texts: Sequence[str], threshold: float = THRESHOLD) -> Iterator[Resemblance]:
    """Each of the first `MOST` texts that resembles an earlier one, with the earliest such.

    Texts that resemble an earlier one are not compared with later ones, so that each line of a
    series made from one template is reported with the first line. Two texts that share a part
    `threshold` of their pieces share one of the rarest ones of each: only these are indexed.
    """
    parts = [pieces(text) for text in texts[:MOST]]
    counts = Counter(piece for own in parts for piece in own)
    index: defaultdict[str, list[int]] = defaultdict(list)
    for second, own in enumerate(parts):
        n_rare = len(own) - math.ceil(threshold * len(own)) + 1
        rare = sorted(own, key=lambda piece: (counts[piece], piece))[:n_rare]
        for first in sorted({number for piece in rare for number in index[piece]}):
            sizes = sorted((len(parts[first]), len(own)))
            if sizes[0] < threshold * sizes[1]:
                continue
            found = similarity(parts[first], own)
            if found >= threshold:
                yield Resemblance(first, second, found)
                break
        else:
            for piece in rare:
                index[piece].append(second)


@dataclass(frozen=True, slots=True)
class Series:
    """A frame, with "..." for the words that vary, and the indices of its texts in order."""

    frame: str
    members: tuple[int, ...]


def _frames(text: str) -> Iterator[str]:
    """The text without one word or two consecutive ones, if at least two words are left."""
    words = normalised(text).split()
    if len(words) > _LONGEST_FRAME:
        return
    for size in (1, 2):
        for start in range(len(words) - size + 1 if len(words) - size >= 2 else 0):
            yield " ".join((*words[:start], "...", *words[start + size :]))


def series(texts: Sequence[str], most: int = MOST_OF_A_FRAME) -> list[Series]:
    """Frames that more than `most` of the first `MOST` texts share, largest first.

    A text is reported in one series only, that of its most frequent frame.
    """
    members: defaultdict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(texts[:MOST]):
        for frame in dict.fromkeys(_frames(text)):
            members[frame].append(number)
    found: list[Series] = []
    named: set[int] = set()
    for frame, numbers in sorted(members.items(), key=lambda item: (-len(item[1]), item[0])):
        if len(numbers) <= most:
            break
        left = tuple(number for number in numbers if number not in named)
        if len(left) > most:
            found.append(Series(frame, left))
            named.update(left)
    return found
