from pathlib import Path

import pytest

from steer_assets.scoring.encoder import MiniLMEncoder
from steer_assets.scoring.labelled import LabelledText, read_labelled
from steer_assets.scoring.minilm import MiniLMScorer, fit_minilm

LABELLED = Path(__file__).parents[2] / "steer_assets" / "catalog" / "labelled"


@pytest.fixture(scope="session")
def encoder() -> MiniLMEncoder:
    # One thread: on a busy machine two threads that wait for each other are the slower.
    return MiniLMEncoder.load(threads=1)


@pytest.fixture(scope="session")
def few() -> list[LabelledText]:
    """Texts of five topics of sentiment."""
    texts = read_labelled(LABELLED / "sentiment.jsonl")
    topics = sorted({text.topic for text in texts})[:5]
    return [text for text in texts if text.topic in topics]


@pytest.fixture(scope="session")
def scorer(encoder: MiniLMEncoder, few: list[LabelledText]) -> MiniLMScorer:
    return fit_minilm("sentiment", few, encoder)
