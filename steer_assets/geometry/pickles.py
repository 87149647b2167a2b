"""Rejection of pickled vectors, with code that converts them."""

import json
from pathlib import Path

SUFFIXES = {".pt", ".pth", ".pkl", ".pickle", ".bin", ".svec"}


def refusal(path: Path, n_layers: int | None) -> str:
    """Why pickles are rejected, and two lines of Python that convert one.

    Rows of a tensor [layers, d] are layers; a first additional row is that of the embeddings.
    """
    rows = "v" if n_layers is None else f"v[-{n_layers}:]"
    source, target = json.dumps(str(path)), json.dumps(f"{path.stem}.safetensors")
    return (
        f"{path.name} is a pickle, which can run code when read; these two lines of Python convert "
        "a tensor [layers, width], or a dict of vectors by layer, and run no code of the file:\n"
        "import torch; from safetensors.torch import save_file; "
        f"v = torch.load({source}, weights_only=True)\n"
        'save_file({f"layer_{i}": row.float().clone() for i, row in '
        f"(v.items() if isinstance(v, dict) else enumerate({rows}))}}, {target})"
    )
