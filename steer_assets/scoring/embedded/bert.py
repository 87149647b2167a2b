"""The forward pass of a BERT encoder, on the weights of the file.

Devlin et al., "BERT" (NAACL 2019). The operations and their order equal those of transformers'
``BertModel``, so the numbers are equal too, without importing transformers, which takes longer than
scoring several hundred texts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Bert:
    """A BERT encoder with absolute positions and exact GELU, for inference.

    Attributes:
        weights: by their names in the file.
        n_heads: attention heads of a block.
        epsilon: added to the variance by the layer norms.
    """

    weights: Mapping[str, Tensor]
    n_heads: int
    epsilon: float

    def hidden_states(
        self, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"], n_layers: int
    ) -> Iterator[Float[Tensor, "b t dim"]]:
        """The embedding layer's output, then that of every block.

        Args:
            ids: token ids; those at padded positions have no effect.
            mask: False at padded positions.
            n_layers: blocks to run.
        """
        x = self._embedded(ids)
        yield x
        seen = None if bool(mask.all()) else mask[:, None, None]
        for block in range(n_layers):
            x = self._block(f"encoder.layer.{block}.", x, seen)
            yield x

    def _embedded(self, ids: Tensor) -> Tensor:
        words = self.weights["embeddings.word_embeddings.weight"]
        types = self.weights["embeddings.token_type_embeddings.weight"]
        positions = self.weights["embeddings.position_embeddings.weight"]
        x = functional.embedding(ids, words) + types[0] + positions[: ids.shape[1]]
        return self._norm("embeddings.LayerNorm", x)

    def _block(self, name: str, x: Tensor, seen: Tensor | None) -> Tensor:
        attended = self._attention(f"{name}attention.self.", x, seen)
        x = self._norm(
            f"{name}attention.output.LayerNorm",
            self._linear(f"{name}attention.output.dense", attended) + x,
        )
        inner = functional.gelu(self._linear(f"{name}intermediate.dense", x))
        return self._norm(f"{name}output.LayerNorm", self._linear(f"{name}output.dense", inner) + x)

    def _attention(self, name: str, x: Tensor, seen: Tensor | None) -> Tensor:
        b, t, dim = x.shape
        query, key, value = (
            self._linear(name + part, x).view(b, t, self.n_heads, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return mixed.transpose(1, 2).reshape(b, t, dim)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, self.epsilon)
