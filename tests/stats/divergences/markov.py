"""Toy language models whose texts can all be listed: Markov chains that end at a stop token."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from steer_assets.stats.divergences.text_divergences import Pair

STOP = 0


@dataclass(frozen=True)
class Chain:
    """``table[s]`` is the next-token distribution after token s; a text begins after ``start``."""

    table: np.ndarray
    start: int
    longest: int

    def texts(self) -> list[tuple[int, ...]]:
        """Every text: those that end with the stop token, and those cut at the longest length."""
        found = []
        for n in range(1, self.longest + 1):
            for body in product(range(1, len(self.table)), repeat=n - 1):
                ends = range(len(self.table)) if n == self.longest else [STOP]
                found += [(*body, end) for end in ends]
        return found

    def log_p(self, text: tuple[int, ...]) -> float:
        before = (self.start, *text[:-1])
        with np.errstate(divide="ignore"):
            return float(sum(np.log(self.table[s, t]) for s, t in zip(before, text, strict=True)))

    def sample(self, rng: np.random.Generator) -> tuple[int, ...]:
        text: list[int] = []
        state = self.start
        while len(text) < self.longest and (not text or text[-1] != STOP):
            state = int((self.table[state].cumsum() > rng.random()).argmax())
            text.append(state)
        return tuple(text)

    def kl_along(self, other: Chain, text: tuple[int, ...]) -> float:
        """Sum over the text's tokens of the divergence of the next token, from self to other."""
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(
                self.table > 0, self.table * np.log(self.table / other.table), 0.0
            ).sum(axis=1)
        return float(sum(terms[s] for s in (self.start, *text[:-1])))


def exact(p: Chain, q: Chain) -> dict[str, float]:
    """Every divergence by the sum over all texts; AUROC by the sum over all pairs."""
    texts = p.texts()
    a, b = (np.exp([chain.log_p(text) for text in texts]) for chain in (p, q))
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = float(np.where(a > 0, a * np.log(a / b), 0).sum())
        reverse = float(np.where(b > 0, b * np.log(b / a), 0).sum())
        m = (a + b) / 2
        js = sum(float(np.where(x > 0, x * np.log(x / m), 0).sum()) for x in (a, b)) / 2
        ratio = np.log(a) - np.log(b)
    wins = (ratio[:, None] > ratio) + 0.5 * (ratio[:, None] == ratio)
    return {
        "kl": kl,
        "kl_reverse": reverse,
        "js": js,
        "total_variation": float(np.abs(a - b).sum() / 2),
        "observer_auroc": float(a @ wins @ b),
    }


def sampled(pairs: list[tuple[Chain, Chain]], m: int, rng: np.random.Generator) -> Pair:
    """m texts of both arms at every prompt, which share random numbers."""
    rows = []
    for p, q in pairs:
        keys = rng.integers(2**32, size=m)
        x, y = ([arm.sample(np.random.default_rng(key)) for key in keys] for arm in (p, q))
        rows.append(
            (
                [p.log_p(t) - q.log_p(t) for t in x],
                [p.log_p(t) - q.log_p(t) for t in y],
                [p.kl_along(q, t) for t in x],
                [q.kl_along(p, t) for t in y],
            )
        )
    return Pair(*(np.array(values) for values in zip(*rows, strict=True)))


def chains(rng: np.random.Generator, step: float, *, size: int = 3, longest: int = 4) -> tuple[
    Chain, Chain
]:  # fmt: skip
    """A random chain, and one whose logits differ by ``step`` times a random direction."""
    logits = rng.normal(size=(size, size))
    moved = logits + step * rng.normal(size=(size, size))
    start = int(rng.integers(1, size))
    tables = [np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (logits, moved)]
    first, second = (Chain(table, start, longest) for table in tables)
    return first, second
