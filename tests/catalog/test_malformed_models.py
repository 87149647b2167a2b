"""Model files: malformed ones are answered with line, field and expectation."""

import pytest

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from tests.catalog.samples import MODEL, change

MODELS = {
    "an unknown kind": (("kind: folder", "kind: pickle"), (4, "source.kind"), "'package', 'hub'"),
    "no location": (("  location: /weights/mine\n", ""), (4, "source.location"), "required"),
    "an empty location": (("/weights/mine", '""'), (5, "source.location"), "at least 1 character"),
    "a hub id without a revision": (
        ("kind: folder", "kind: hub"),
        (4, "source"),
        "a hub id needs a revision",
    ),
    "an unknown field": (("title: My own", "titel: My own"), (1, "title"), "Field required"),
    "another name": (("model: mine", "model: yours"), (1, "model"), "expected yours.yaml"),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_malformed_model_is_answered_with_line_field_and_expectation(user, case):
    (old, new), (line, field), said = MODELS[case]
    path = user / "models" / "mine.yaml"
    path.write_text(change(MODEL, old, new))
    with pytest.raises(CatalogError) as caught:
        catalog.model_entry("mine")
    first = str(caught.value).splitlines()[0]
    assert first.startswith(f"{path}:{line}: {field}: ")
    assert said in first


def test_a_model_of_the_user_is_found(user):
    (user / "models" / "mine.yaml").write_text(MODEL)
    assert catalog.model_entry("mine").source.location == "/weights/mine"
    assert catalog.model_keys() == ["smollm2-135m-instruct", "mine"]
