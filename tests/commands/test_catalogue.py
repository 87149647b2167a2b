import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from steer_assets.catalog import catalog
from steer_assets.paths import CATALOG
from tests.catalog.samples import TRAIT, change


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder and a GGUF file, as far as the catalog looks."""
    folder = tmp_path / "My-Weights"
    folder.mkdir()
    (folder / "Tiny.Q4.gguf").touch()
    (folder / "notes.txt").touch()
    return folder


def test_a_folder_is_added(steer, layout, weights):
    answer = steer("models", "add", weights)
    assert answer.code == 0
    path = layout.root / "catalog" / "models" / "my-weights.yaml"
    assert f"added my-weights in {path}" in answer.err
    entry = catalog.model_entry("my-weights")
    assert (entry.source.kind, entry.source.location) == ("folder", str(weights))
    listed = [json.loads(line) for line in steer("models", "list", "--json").out.splitlines()]
    assert [row["model"] for row in listed] == ["smollm2-135m-instruct", "my-weights"]


def test_a_gguf_file_is_added(steer, weights):
    assert steer("models", "add", weights / "Tiny.Q4.gguf", "--name", "tiny").code == 0
    entry = catalog.model_entry("tiny")
    assert (entry.source.kind, entry.source.location) == ("gguf", str(weights / "Tiny.Q4.gguf"))


def test_a_file_of_a_package_is_added(steer):
    assert steer("models", "add", "numpy/Small.gguf").code == 0
    entry = catalog.model_entry("small")
    assert (entry.source.kind, entry.source.location) == ("package", "numpy/Small.gguf")


COMMIT = "a1" * 20


def test_a_hub_id_is_added_with_its_revision(steer):
    assert steer("models", "add", "Qwen/Qwen2.5-0.5B-Instruct", "--revision", COMMIT).code == 0
    entry = catalog.model_entry("qwen--qwen2.5-0.5b-instruct")
    assert entry.source.kind == "hub"
    assert entry.source.location == "Qwen/Qwen2.5-0.5B-Instruct"
    assert entry.source.revision == COMMIT


@pytest.fixture
def offline(tmp_path, monkeypatch) -> Path:
    """No hub, and an empty cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models--owner--name"


@pytest.mark.parametrize("revision", ["", "main", "v1.0"])
def test_a_moving_revision_is_pinned_to_the_commit_that_the_hub_names(steer, monkeypatch, revision):
    asked = []

    def info(self, location, *, revision, timeout):
        asked.append((location, revision))
        return SimpleNamespace(sha=COMMIT)

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", info)
    named = ["--revision", revision] if revision else []
    answer = steer("models", "add", "hub:owner/name", *named)
    assert asked == [("owner/name", revision or "main")]
    assert f"{revision or 'main'} of owner/name is {COMMIT} today" in answer.err
    assert catalog.model_entry("owner--name").source.revision == COMMIT


def test_without_a_hub_the_commit_is_that_of_the_cache(steer, offline):
    (offline / "refs").mkdir(parents=True)
    (offline / "refs" / "main").write_text(COMMIT)
    (offline / "snapshots" / COMMIT).mkdir(parents=True)
    assert steer("models", "add", "owner/name").code == 0
    assert catalog.model_entry("owner--name").source.revision == COMMIT
    assert steer("models", "add", "owner/name", "--revision=a1a1a1a", "--name=short").code == 0
    assert catalog.model_entry("short").source.revision == COMMIT
    said = steer("models", "add", "owner/name", "--revision=v2", "--name=other").refused()
    assert "cache does not have it" in said


def test_what_the_hub_does_not_have_is_refused(steer, layout, monkeypatch):
    from huggingface_hub import errors

    for error, said in (
        (errors.RepositoryNotFoundError, "the hub has no model owner/name"),
        (errors.RevisionNotFoundError, "has no revision 'main'"),
    ):

        def info(*_args, error=error, **_options):
            raise error("no", response=SimpleNamespace(headers={}, request=None))

        monkeypatch.setattr("huggingface_hub.HfApi.model_info", info)
        assert said in steer("models", "add", "owner/name").refused()
    assert not layout.root.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Qwen/Qwen2.5-0.5B"], "pin Qwen/Qwen2.5-0.5B with --revision COMMIT"),
        (["./nope"], "is no folder, no GGUF file and no hub id like owner/name"),
        (["./nope/x.gguf"], "is no folder, no GGUF file and no hub id"),
        (["/nope/x.gguf"], "is no folder, no GGUF file and no hub id"),
        (["https://hub.example/a/b"], "is no folder, no GGUF file and no hub id"),
        (["owner/na me", "--revision=a"], "is no folder, no GGUF file and no hub id"),
        (["../../owner", "--revision=a"], "is no folder, no GGUF file and no hub id"),
        (["a.b/x.gguf"], "pin a.b/x.gguf with --revision COMMIT"),
        (["owner/" + "n" * 90, "--revision=a"], "is not allowed: use 1 to 80"),
        (["HuggingFace/x", "--revision=a", "--name=smollm2-135m-instruct"], "already in the cat"),
        (["{weights}/notes.txt"], "is a file but not GGUF; give the folder it is in"),
        (["{weights}", "--name=My Model"], "model 'My Model' is not allowed"),
    ],
)
def test_what_is_no_model_is_refused_and_nothing_is_written(
    steer, layout, weights, arguments, said, offline
):
    answer = steer("models", "add", *(text.format(weights=weights) for text in arguments))
    assert said in answer.refused()
    assert not layout.root.exists()


def test_a_model_is_added_once(steer, weights):
    assert steer("models", "add", weights).code == 0
    assert "choose another --name" in steer("models", "add", weights).refused()


def test_lists_are_tables_and_json(steer):
    for room, name in (("models", "smollm2-135m-instruct"), ("traits", "formality")):
        assert name in steer(room, "list").out
        rows = [json.loads(line) for line in steer(room, "list", "--json").out.splitlines()]
        assert name in [row[room.removesuffix("s")] for row in rows]


def test_a_malformed_file_of_the_user_is_named_by_the_list(steer, layout):
    path = layout.root / "catalog" / "traits" / "brevity.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(change(TRAIT, "Be brief. {context}", "Be brief."))
    said = steer("traits", "list").refused()
    assert said.startswith(f"{path}:6: contrast.positive_template: ")


def test_a_good_trait_file_is_counted(steer, tmp_path):
    answer = steer("traits", "check", CATALOG / "traits" / "formality.yaml")
    assert answer.code == 0
    trait = catalog.trait("formality")
    assert f"{trait.n_pairs} contrast pairs" in answer.err
    assert f"{len(list(trait.tests()))} test prompts" in answer.err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("brevity", change(TRAIT, "Be long. {context}", "Be long."), ":7: contrast.negative_temp"),
        (
            "brevity",
            change(TRAIT, "Explain snow.", "Explain rain."),
            ":15: test.in_distribution.1: is the same as in line 14",
        ),
        ("shortness", TRAIT, ":1: trait: is 'brevity', but the file is named shortness.yaml"),
        ("brevity", "trait: [", ":1: not valid YAML"),
        ("brevity", "title: K\udcfcrze", ":1: not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_a_bad_trait_file_is_answered_with_its_line(steer, tmp_path, name, content, said):
    path = tmp_path / f"{name}.yaml"
    path.write_text(content, errors="surrogateescape")
    assert steer("traits", "check", path).refused().startswith(f"{path}{said}")


def test_a_trait_file_that_is_not_there(steer, tmp_path):
    said = steer("traits", "check", tmp_path / "none.yaml").refused()
    assert said == f"{tmp_path / 'none.yaml'}: cannot be read: No such file or directory"
