import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, BertModel

from steer_assets.scoring.embedded import encoder as module
from steer_assets.scoring.embedded.encoder import MAX_TOKENS, MiniLMEncoder, package_folder
from steer_assets.scoring.scorer import ScorerUnavailable
from tests.scoring.conftest import stock_means

TEXTS = ["A man is eating food.", "", "The girl is carrying a baby. " * 3, "He is eating pasta"]


def test_is_mean_pooled_bert_text_by_text(encoder: MiniLMEncoder) -> None:
    # The same through the stock loaders, one text at a time, without padding.
    model = BertModel.from_pretrained(package_folder()).eval()
    tokenizer = AutoTokenizer.from_pretrained(package_folder())
    for text, embedding in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = hidden.mean(dim=0).numpy()
        np.testing.assert_allclose(embedding, mean / np.linalg.norm(mean), atol=1e-5)


def test_every_layer_is_that_of_the_stock_model(encoder: MiniLMEncoder) -> None:
    odd = ["[PAD] [MASK] [sep] [SEP]", "Ünïcode 日本語 🙂", "x" * 300, "a\x00b\tc", "word " * 20]
    texts = TEXTS + odd
    np.testing.assert_allclose(
        encoder.pooled_layers(texts, range(7), batch_tokens=10_000), stock_means(texts), atol=1e-6
    )


def test_side_by_side_gives_the_same_bytes(encoder: MiniLMEncoder) -> None:
    texts = [("word " * (1 + n % 9)).strip() + "!" * (n % 3) for n in range(40)]
    alone = encoder.pooled_layers(texts, (0, 6), batch_tokens=64)
    torch.set_num_threads(3)
    try:
        beside = encoder.pooled_layers(texts, (0, 6), batch_tokens=64)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
    assert beside.tobytes() == alone.tobytes()


def test_similar_sentences_are_near(encoder: MiniLMEncoder) -> None:
    food, _, baby, pasta = encoder.encode(TEXTS)
    assert food @ pasta > 0.5 > food @ baby


def test_order_and_batches_do_not_matter(encoder: MiniLMEncoder) -> None:
    texts = [("word " * length).strip() for length in (30, 1, 7, 30, 2, 90, 4)]
    whole = encoder.pooled_layers(texts, (0, 3, 6))
    assert whole.shape == (7, 3, 384)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(
        whole, encoder.pooled_layers(texts, (0, 3, 6), batch_tokens=1), atol=2e-5
    )
    np.testing.assert_allclose(
        whole[::-1], encoder.pooled_layers(texts[::-1], (0, 3, 6)), atol=2e-5
    )
    np.testing.assert_allclose(whole[0], whole[3], atol=2e-5)


def test_last_layer_is_the_embedding(encoder: MiniLMEncoder) -> None:
    pooled = encoder.pooled_layers(TEXTS, (2, 6))[:, 1]
    embedding = encoder.encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(
        embedding, pooled / np.linalg.norm(pooled, axis=1, keepdims=True), atol=1e-6
    )


def test_reads_the_first_256_tokens(encoder: MiniLMEncoder) -> None:
    long = "good " * (MAX_TOKENS - 2)
    cut, more = encoder.encode([long, long + "bad " * 50])
    np.testing.assert_allclose(cut, more, atol=1e-5)


def test_odd_strings(encoder: MiniLMEncoder) -> None:
    odd = ["\ud800", "\x00\x1f", "🙂" * 400, "x" * 10_000, "[PAD] [MASK]", "  \n"]
    assert np.isfinite(encoder.encode(odd)).all()
    assert encoder.encode([]).shape == (0, 384)


def test_errors(encoder: MiniLMEncoder) -> None:
    with pytest.raises(ValueError, match="layer 7 of the encoder: it has 0 to 6"):
        encoder.pooled_layers(TEXTS, (7,))
    with pytest.raises(ValueError, match="batch_tokens is 0"):
        encoder.encode(TEXTS, batch_tokens=0)
    with pytest.raises(ScorerUnavailable, match="package no_such_package is not installed"):
        package_folder("no_such_package")
    with pytest.raises(ScorerUnavailable, match=r"holds no model\.safetensors"):
        package_folder("json")


def test_fingerprint(encoder: MiniLMEncoder) -> None:
    assert len(encoder.sha256) == 64
    assert encoder.sha256 == MiniLMEncoder(encoder.folder, None, None).sha256


def test_fingerprint_changes_with_content(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes(b"same")
    before = MiniLMEncoder(tmp_path, None, None).sha256
    (tmp_path / "tokenizer.json").write_bytes(b"other")
    assert MiniLMEncoder(tmp_path, None, None).sha256 != before


def test_the_package_itself_is_never_imported(encoder: MiniLMEncoder) -> None:
    assert module.PACKAGE not in sys.modules
