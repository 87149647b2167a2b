from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaModel,
)

from steer_assets.scoring.pretrained.classifiers import PretrainedClassifier
from steer_assets.scoring.pretrained.label_maps import label_weights, pole_log_odds
from steer_assets.scoring.pretrained.transformer_scorers import hf_classifier, hf_zero_shot
from steer_assets.scoring.scorer import Scorer, ScorerUnavailable

SENTIMENT = {"negative": -1.0, "neutral": 0.0, "positive": 1.0}
NLI = {"contradiction": -1.0, "neutral": 0.0, "entailment": 1.0}
TEXTS = ["Quite good!", "", "x" * 500, "\ud800 bad", "Quite good!"]


def save_tokenizer(folder: Path) -> None:
    """Bytes as tokens, with RoBERTa's special tokens."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocab = {token: index for index, token in enumerate(special)}
    for byte in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocab[byte] = len(vocab)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)


def roberta_config(labels: list[str]) -> RobertaConfig:
    return RobertaConfig(
        vocab_size=260,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        initializer_range=0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roberta")
    torch.manual_seed(0)
    RobertaForSequenceClassification(roberta_config(list(SENTIMENT))).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def bart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bart")
    torch.manual_seed(1)
    config = BartConfig(
        vocab_size=260,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=96,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        init_std=0.5,
        id2label=dict(enumerate(NLI)),
        label2id={label: index for index, label in enumerate(NLI)},
    )
    BartForSequenceClassification(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def alone(folder: Path, cls: Any, *texts: str, max_length: int) -> np.ndarray:
    """Log-probabilities of one text, without batches or padding."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    batch = tokenizer(
        *texts,
        truncation="only_first",
        max_length=max_length,
        return_tensors="pt",
        return_token_type_ids=False,
    )
    with torch.inference_mode():
        logits = cls.from_pretrained(folder).eval()(**batch).logits[0]
    return np.asarray(torch.log_softmax(logits.double(), -1).numpy())


def test_classifier_scores_are_log_odds_of_the_poles(roberta: Path) -> None:
    scorer = hf_classifier("roberta", str(roberta), SENTIMENT)
    scores = scorer.score(TEXTS)
    assert isinstance(scorer, Scorer)
    assert scores.dtype == np.float64
    for text, score in zip(TEXTS, scores, strict=True):
        readable = text.replace("\ud800", "?")
        # 64 positions: RoBERTa leaves the first two of its 66 unused.
        log_p = alone(roberta, RobertaForSequenceClassification, readable, max_length=64)
        assert score == pytest.approx(log_p[2] - log_p[0], abs=1e-4)
    assert scores[0] == pytest.approx(scores[4], abs=1e-6)
    assert np.ptp(scores) > 0.01


def test_zero_shot_compares_the_hypotheses(bart: Path) -> None:
    hypotheses = {"positive_hypothesis": "It is kind.", "negative_hypothesis": "It is cold."}
    scorer = hf_zero_shot("bart", str(bart), NLI, **hypotheses)
    scores = scorer.score(TEXTS)
    for text, score in zip(TEXTS, scores, strict=True):
        odds = []
        for hypothesis in hypotheses.values():
            log_p = alone(
                bart,
                BartForSequenceClassification,
                text.replace("\ud800", "?"),
                hypothesis,
                max_length=96,
            )
            odds.append(log_p[2] - log_p[0])
        assert score == pytest.approx(odds[0] - odds[1], abs=1e-4)
    swapped = hf_zero_shot(
        "bart",
        str(bart),
        NLI,
        positive_hypothesis="It is cold.",
        negative_hypothesis="It is kind.",
    )
    np.testing.assert_allclose(swapped.score(TEXTS), -scores, atol=1e-5)
    assert np.ptp(scores) > 1e-4


@pytest.mark.parametrize("poles", [("", "It is cold."), ("Same.", "Same. ")])
def test_zero_shot_needs_two_hypotheses(bart: Path, poles: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="expected two that differ"):
        hf_zero_shot(
            "bart", str(bart), NLI, positive_hypothesis=poles[0], negative_hypothesis=poles[1]
        )


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        ({"negative": -1.0, "positive": 1.0}, "label map without 'neutral'"),
        (SENTIMENT | {"Positive": 1.0}, "names 'Positive'"),
        (SENTIMENT | {"negative": 0.0}, "needs a positive and a negative weight"),
        (SENTIMENT | {"neutral": float("nan")}, "weight of 'neutral' is nan"),
    ],
)
def test_label_map_must_fit_the_model(
    roberta: Path, label_map: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        hf_classifier("roberta", str(roberta), label_map)


def test_formal_is_not_read_out_of_informal() -> None:
    # As published, the sign came of `'formal' in label`, which gives both labels a plus.
    labels = {0: "informal", 1: "formal"}
    weights = label_weights({"formal": 1.0, "informal": -1.0}, labels)
    assert weights.tolist() == [-1.0, 1.0]
    scores = pole_log_odds(np.array([[2.0, -1.0], [-1.0, 2.0]]), weights)
    assert scores.tolist() == [-3.0, 3.0]
    with pytest.raises(ValueError, match="without 'informal'"):
        label_weights({"formal": 1.0}, labels)
    with pytest.raises(ValueError, match="two outputs alike"):
        label_weights({"a": 1.0}, {0: "a", 1: "a"})


def test_scores_do_not_saturate() -> None:
    weights = np.array([-1.0, 0.0, 1.0])
    scores = pole_log_odds(np.array([[0, 0, 500.0], [0, 0, 600.0], [900.0, 0, 0]]), weights)
    assert scores.tolist() == [500.0, 600.0, -900.0]


def test_weights_weigh() -> None:
    # Five stars: two labels a side, the outer ones counting double.
    logits = np.log(np.array([[0.1, 0.2, 0.3, 0.3, 0.1]]))
    score = pole_log_odds(logits, np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
    assert score[0] == pytest.approx(np.log(0.5 / 0.4))


def test_unreachable_is_absent_with_the_reason() -> None:
    with pytest.raises(ScorerUnavailable, match="steer-assets-tests/no-such-model"):
        hf_classifier("x", "steer-assets-tests/no-such-model", SENTIMENT)


def test_folders_that_are_no_classifier(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sequence classifier"):
        PretrainedClassifier.load(str(tmp_path))
    # A bare encoder would be given a random head.
    RobertaModel(roberta_config(["a", "b"])).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    with pytest.raises(ValueError, match=r"no trained sequence classifier .*classifier"):
        PretrainedClassifier.load(str(tmp_path))


def test_pickled_weights_are_refused(roberta: Path, tmp_path: Path) -> None:
    for path in roberta.iterdir():
        if path.suffix == ".safetensors":
            torch.save({}, tmp_path / "pytorch_model.bin")
        else:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="no sequence classifier"):
        PretrainedClassifier.load(str(tmp_path))
