from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from steer_assets.scoring.embedded.encoder import MAX_TOKENS, MiniLMEncoder, package_folder
from steer_assets.scoring.embedded.features import LAYERS
from steer_assets.scoring.embedded.minilm import MiniLMScorer, fit_minilm
from steer_assets.scoring.labelled import LabelledText, read_labelled

LABELLED = Path(__file__).parents[2] / "steer_assets" / "catalog" / "labelled"


@pytest.fixture(scope="session")
def encoder() -> MiniLMEncoder:
    # One thread: on a busy machine two threads are slower because of barriers.
    return MiniLMEncoder.load(threads=1)


_POOLED: dict[tuple[object, ...], np.ndarray] = {}


class _Remembering(MiniLMEncoder):
    """Encodes the same texts once."""

    def pooled_layers(
        self, texts: Sequence[str], layers: Sequence[int], batch_tokens: int = 1024
    ) -> np.ndarray:
        key = (*texts, *layers, batch_tokens)
        if key not in _POOLED:
            _POOLED[key] = super().pooled_layers(texts, layers, batch_tokens)
        return _POOLED[key].copy()


@pytest.fixture(scope="session")
def remembering(encoder: MiniLMEncoder) -> MiniLMEncoder:
    """For tests of what is fitted to encodings, most of which take longer than a fit."""
    return _Remembering(encoder.folder, encoder.model, encoder.tokenizer)


@pytest.fixture(scope="session")
def few() -> list[LabelledText]:
    """Texts of five topics of sentiment."""
    texts = read_labelled(LABELLED / "sentiment.jsonl")
    topics = sorted({text.topic for text in texts})[:5]
    return [text for text in texts if text.topic in topics]


@pytest.fixture(scope="session")
def scorer(remembering: MiniLMEncoder, few: list[LabelledText]) -> MiniLMScorer:
    return fit_minilm("sentiment", few, remembering)


def stock_means(texts: list[str]) -> np.ndarray:
    """Token means of all hidden states [n, 7, 384] by transformers' model and tokenizer."""
    from transformers import AutoTokenizer, BertModel

    folder = package_folder()
    model, tokenizer = (
        BertModel.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
    order = np.argsort(lengths, kind="stable")  # as the encoder batches them
    batch = tokenizer(
        [texts[row] for row in order],
        padding=True,
        truncation=True,
        max_length=MAX_TOKENS,
        return_tensors="pt",
    )
    mask = batch["attention_mask"]
    with torch.inference_mode():
        hidden = model(**batch, output_hidden_states=True).hidden_states
        weights = (mask / mask.sum(dim=1, keepdim=True)).float()[:, None]
        means = torch.stack([(weights @ hidden[layer])[:, 0] for layer in LAYERS], dim=1)
    out = np.empty(tuple(means.shape), dtype=np.float32)
    out[order] = means.numpy()
    return out
