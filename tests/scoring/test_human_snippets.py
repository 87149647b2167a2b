"""Sentences of reviews that people wrote and rated, none of which is fitted to.

They are those of Hutto & Gilbert (ICWSM 2014), MIT licence, and are not part of this repository:
`pip download --no-deps --no-binary :all: vaderSentiment==0.5`, unpack the archive and, in it,
`additional_resources/hutto_ICWSM_2014.tar.gz`, and name that folder in STEER_HUMAN_SNIPPETS. The
penalty of the head was chosen on products and editorials, with the figures of films in view. A
sentence is positive if the mean of 20 ratings is above 0.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from steer_assets.catalog import catalog
from steer_assets.scoring.embedded.encoder import MiniLMEncoder
from steer_assets.scoring.embedded.minilm import MiniLMScorer, fit_minilm
from steer_assets.scoring.labelled import read_labelled
from steer_assets.scoring.validation import auroc

FOLDER = os.environ.get("STEER_HUMAN_SNIPPETS", "")
MOST = 2500

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not FOLDER, reason="STEER_HUMAN_SNIPPETS names no folder of snippets"),
]


def _snippets(name: str) -> tuple[list[str], np.ndarray]:
    """Texts and mean ratings, not 0, of a draw of MOST lines."""
    lines = (Path(FOLDER) / f"{name}_GroundTruth.txt").read_text("latin-1").split("\n")
    rows = [line.split("\t") for line in lines]
    rows = [row for row in rows if len(row) >= 3 and row[2].strip() and float(row[1]) != 0]
    chosen = np.random.default_rng(1).permutation(len(rows))[:MOST]
    texts = [rows[at][2].strip() for at in chosen]
    return texts, np.array([float(rows[at][1]) for at in chosen])


@pytest.fixture(scope="module")
def fitted(encoder: MiniLMEncoder) -> MiniLMScorer:
    labelled = read_labelled(catalog.labelled_path("sentiment"))
    return fit_minilm("sentiment", labelled, encoder)


@pytest.mark.parametrize(
    ("name", "least"), [("movieReviewSnippets", 0.825), ("amazonReviewSnippets", 0.845)]
)
def test_reviews_by_people_are_told_apart(fitted: MiniLMScorer, name: str, least: float) -> None:
    texts, rating = _snippets(name)
    area, low, high = auroc(fitted.score(texts), rating > 0)
    print(f"{name}: AUROC {area:.3f} ({low:.3f} to {high:.3f}), {len(texts)} sentences")
    assert area >= least
