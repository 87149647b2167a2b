"""Sequence classifiers from the hub or a folder, in batches of similar length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from steer_assets.scoring.scorer import ScorerUnavailable, readable

#: Number of tokens read if the model declares no limit.
_DEFAULT_TOKENS = 512


@dataclass(frozen=True)
class PretrainedClassifier:
    """A transformers sequence classification model with its tokenizer, on the CPU in float32."""

    location: str
    model: Any
    tokenizer: Any
    max_tokens: int

    @classmethod
    def load(cls, location: str, *, revision: str | None = None) -> "PretrainedClassifier":
        """Load by local folder or hub id; only safetensors, never code from the repository.

        Raises:
            ScorerUnavailable: if the model is neither a folder here nor reachable.
            ValueError: if a folder has no sequence classifier.
        """
        from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

        is_folder = Path(location).is_dir()
        options = {"revision": revision, "trust_remote_code": False}
        try:
            config = AutoConfig.from_pretrained(location, **options)
            tokenizer = AutoTokenizer.from_pretrained(location, **options)
            model, facts = AutoModelForSequenceClassification.from_pretrained(
                location, use_safetensors=True, output_loading_info=True, **options
            )
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            if is_folder or not isinstance(error, OSError):
                raise ValueError(f"{location}: no sequence classifier: {reason}") from error
            raise ScorerUnavailable(
                f"{location}: not a folder here, and the hub does not give it: {reason}"
            ) from error
        if missing := sorted(facts["missing_keys"]):
            raise ValueError(
                f"{location}: no trained sequence classifier ({config.model_type}): "
                f"weights lack {missing[0]}"
            )
        return cls(location, model.eval(), tokenizer, _token_limit(tokenizer, config))

    @property
    def id2label(self) -> dict[int, str]:
        """Names of the model's outputs by index."""
        return {int(index): str(label) for index, label in self.model.config.id2label.items()}

    def logits(
        self,
        texts: Sequence[str],
        hypotheses: Sequence[str] | None = None,
        *,
        batch_tokens: int = 2048,
    ) -> Float[np.ndarray, "n labels"]:
        """Logits float32 [n, labels] in input order; with hypotheses, of (text, hypothesis).

        A text that is too long is truncated at the end; a hypothesis is never truncated.
        """
        import torch

        out = np.empty((len(texts), len(self.id2label)), dtype=np.float32)
        for rows in self._batches(texts, batch_tokens):
            pairs = (
                {"text": [readable(texts[row]) for row in rows], "truncation": True}
                if hypotheses is None
                else {
                    "text": [readable(texts[row]) for row in rows],
                    "text_pair": [readable(hypotheses[row]) for row in rows],
                    "truncation": "only_first",
                }
            )
            batch = self.tokenizer(
                **pairs, max_length=self.max_tokens, padding=True, return_tensors="pt"
            )
            with torch.inference_mode():
                out[rows] = self.model(**batch).logits.float().numpy()
        return out

    def _batches(self, texts: Sequence[str], batch_tokens: int) -> Iterator[list[int]]:
        # Order by characters approximates order by tokens well enough to keep padding small; a
        # token is rarely shorter than two characters, which bounds a batch's size.
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        batch: list[int] = []
        for row in order:
            width = min(len(texts[row]) // 2 + 8, self.max_tokens)
            if batch and (len(batch) + 1) * width > batch_tokens:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch


def _token_limit(tokenizer: Any, config: Any) -> int:
    limits = [int(tokenizer.model_max_length)]
    if (positions := getattr(config, "max_position_embeddings", None)) is not None:
        # RoBERTa's positions start at the padding id + 1, so two of them are never used.
        offset = 2 if config.model_type in {"roberta", "xlm-roberta", "camembert"} else 0
        limits.append(int(positions) - offset)
    limit = min(limits)
    return limit if limit < 100_000 else _DEFAULT_TOKENS
