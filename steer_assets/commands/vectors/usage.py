"""`USE.md` of an exported folder: the call of each tool that reads the files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exported:
    """A vector of an exported folder: its blocks, and whether it has a GGUF."""

    name: str
    blocks: tuple[int, ...]
    gguf: bool


_HEAD = """\
# Steering vectors of {trait} in {model}

| vector | blocks | files |
| --- | --- | --- |
{rows}

A vector is {site}. llama.cpp, repeng, EasySteer and steering-vectors count blocks in the same way.
By default, verdicts are of vectors that are added at the last prompt token and at every generated
token, at one block at a time. A tool that also adds them to the prompt, or at several blocks at
once, steers more than what was tested.
{strength}
The calls below are for `{name}`; those of other vectors differ in the file alone.
"""
_GGUF = """
## llama.cpp: every token of prompt and text

```
llama-server --model MODEL.gguf {option}
```

`--control-vector-layer-range N N` limits it to block N.

## repeng: every token of prompt and text

`model` is a transformers model.

```python
from repeng import ControlModel, ControlVector

vector = ControlVector.import_gguf("{name}.gguf")
steered = ControlModel(model, list(vector.directions))
steered.set_control(vector, {strength})
```

## vLLM, as EasySteer (arXiv 2509.25175): the tokens that verdicts are of

In the body of a request to its server:

```json
{request}
```
"""
_SAFETENSORS = """
## steering-vectors: the tokens that verdicts are of

`prompt` is what a tokenizer returns for one prompt, `n_prompt` its number of tokens. Without
`use_cache=False` the package steers the last prompt token alone: it counts positions within a step.

```python
from safetensors.torch import load_file
from steering_vectors import SteeringVector

rows = load_file("{name}.safetensors").items()
vector = SteeringVector({{int(key.removeprefix("layer_")): row.float() for key, row in rows}})
with vector.apply(model, multiplier={strength}, min_token_index=n_prompt - 1):
    text = model.generate(**prompt, max_new_tokens=50, use_cache=False)
```

## A tool that reads `.pt`

None of the above needs a pickle, so none is written. hotwire-vllm reads a tensor [blocks, width]:

```python
import torch
from safetensors.torch import load_file

table = torch.zeros(model.config.num_hidden_layers, model.config.hidden_size)
for key, row in load_file("{name}.safetensors").items():
    table[int(key.removeprefix("layer_"))] = row
torch.save(table, "{name}.pt")
```
"""


def usage(
    written: Sequence[Exported], about: Mapping[str, str], architecture: str, strength: str
) -> str:
    """Markdown with all calls; `strength` is the factor that they use, `1` if it is folded in."""
    first = next((one for one in written if one.gguf), written[0])
    rows = [
        f"| {one.name} | {', '.join(map(str, one.blocks))} | {_files(one)} |" for one in written
    ]
    model = f"{about['model']} ({architecture})"
    text = _HEAD.format(
        trait=about["trait"],
        model=model,
        rows="\n".join(rows),
        site=about["site"],
        strength=f"The calls use strength {strength}.",
        name=first.name,
    )
    if first.gguf:
        option = f"--control-vector {first.name}.gguf"
        if strength != "1":
            option = f"--control-vector-scaled {first.name}.gguf:{strength}"
        text += _GGUF.format(
            option=option, name=first.name, strength=strength, request=_request(first, strength)
        )
    return text + _SAFETENSORS.format(name=first.name, strength=strength)


def _files(one: Exported) -> str:
    return (
        f"`{one.name}.gguf`, `{one.name}.safetensors`" if one.gguf else f"`{one.name}.safetensors`"
    )


def _request(one: Exported, strength: str) -> str:
    vector = {
        "source": f"{one.name}.gguf",
        "algorithm": "direct",
        "scale": float(strength),
        "apply": {"prompt_positions": [-1], "generation": "all"},
    }
    return json.dumps({"steering": {"vectors": [vector]}}, indent=1)
