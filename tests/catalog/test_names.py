from collections.abc import Callable

import pytest
from pydantic import BaseModel

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError, UnknownNameError

READERS: dict[str, Callable[[str], BaseModel]] = {
    "model": catalog.model_entry,
    "trait": catalog.trait,
    "study": catalog.study,
    "control trait": catalog.control_trait,
}


@pytest.mark.parametrize(
    ("what", "name", "hint"),
    [
        ("trait", "formalty", "did you mean formality?"),
        ("trait", "Sentiment", "did you mean sentiment?"),
        ("model", "smollm-135m", "did you mean smollm2-135m-instruct?"),
        ("study", "quik", "did you mean quick?"),
        ("control trait", "tenses", "did you mean tense?"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(what, name, hint):
    with pytest.raises(UnknownNameError) as caught:
        READERS[what](name)
    assert str(caught.value) == f"unknown {what} {name!r}; {hint}"


def test_a_name_like_no_other_is_answered_with_all():
    with pytest.raises(UnknownNameError) as caught:
        catalog.trait("xyzzy")
    known = "agreeableness, formality, politeness, sentiment, truthfulness"
    assert str(caught.value) == f"unknown trait 'xyzzy'; known: {known}"


@pytest.mark.parametrize("what", READERS)
@pytest.mark.parametrize(
    "name", ["", "..", "../traits/formality", "/etc/passwd", "a/b", "a\x00b", "quick'--", "tense\n"]
)
def test_a_name_is_never_a_path(what, name, monkeypatch):
    def touch(*_: object) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr("steer_assets.catalog.yaml_files.read", touch)
    with pytest.raises(UnknownNameError):
        READERS[what](name)


def test_a_trait_without_labelled_texts_says_where_to_write_them(user):
    with pytest.raises(CatalogError) as caught:
        catalog.labelled_path("brevity")
    assert str(user / "labelled" / "brevity.jsonl") in str(caught.value)
    own = user / "labelled" / "formality.jsonl"
    assert catalog.labelled_path("formality") != own
    own.touch()
    assert catalog.labelled_path("formality") == own


def test_the_users_catalog_lies_beside_the_data(monkeypatch, tmp_path):
    monkeypatch.delenv("STEER_CATALOG_DIR")
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path / "data"))
    assert catalog.user_catalog() == tmp_path / "data" / "catalog"
