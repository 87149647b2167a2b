"""No input can execute code: no pickle, no code of a model, no YAML that builds objects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from steer_assets.paths import PACKAGE

#: Modules that unpickle.
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
#: Modules that exchange messages with processes that they started, over a pipe of their own, as
#: `multiprocessing` does; nothing else reaches these readers.
BETWEEN_OWN_PROCESSES = {"lm/tensor_parallel/follower.py", "lm/tensor_parallel/ranks.py"}
#: Calls that never are right here.
FORBIDDEN = {"torch.load", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "eval", "exec"}
#: Keywords that a call must have, by the end of its name.
NEEDED = {
    "np.load": {"allow_pickle": False},
    "np.save": {"allow_pickle": False},
    "AutoModelForCausalLM.from_pretrained": {"trust_remote_code": False, "use_safetensors": True},
    "AutoModelForSequenceClassification.from_pretrained": {
        "trust_remote_code": False,
        "use_safetensors": True,
    },
    "AutoTokenizer.from_pretrained": {"trust_remote_code": False},
    "AutoConfig.from_pretrained": {"trust_remote_code": False},
    "snapshot_download": {"revision": None},
}


def _dictionaries(tree: ast.AST) -> dict[str, dict[str, ast.expr]]:
    """Keywords that stand in a dictionary of some name, handed on with `**`."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            items = zip(node.value.keys, node.value.values, strict=True)
            keys = {k.value: v for k, v in items if isinstance(k, ast.Constant)}
            found[ast.unparse(node.targets[0])] = keys
    return found


def problems(source: str) -> Iterator[str]:
    """Calls that could execute code, with their lines."""
    tree = ast.parse(source)
    named = _dictionaries(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            if (module or "").split(".")[0] in PICKLES:
                yield f"{node.lineno}: {module}"
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given: dict[str, ast.expr] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                given |= named.get(ast.unparse(keyword.value), {})
            else:
                given[keyword.arg] = keyword.value
        if name in FORBIDDEN:
            yield f"{node.lineno}: {name}"
        for keyword_name, wanted in NEEDED.get(name, {}).items():
            value = given.get(keyword_name)
            fits = isinstance(value, ast.Constant) and value.value is wanted
            if value is None or (wanted is not None and not fits):
                yield f"{node.lineno}: {name} without {keyword_name}={wanted}"


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_nothing_that_is_read_can_run(path: Path):
    found = list(problems(path.read_text()))
    if path.relative_to(PACKAGE).as_posix() in BETWEEN_OWN_PROCESSES:
        found = [problem for problem in found if not problem.endswith(": pickle")]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load(path)",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "AutoConfig.from_pretrained(folder)",
        "AutoTokenizer.from_pretrained(folder, trust_remote_code=True)",
        "options = {'trust_remote_code': True}\nAutoTokenizer.from_pretrained(x, **options)",
        "AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False)",
        "snapshot_download('a/b')",
    ],
)
def test_what_could_run_is_seen(source: str):
    assert list(problems(source))
