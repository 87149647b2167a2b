import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_assets.geometry.vector_ids import ALL_SEEDS, VectorId, base_id

WRITTEN = {
    "L15.base": VectorId(15, "base"),
    "L0.random.s12": VectorId(0, "random", seed=12),
    "L15.base_plus_null.fisher.s0": VectorId(15, "base_plus_null", "fisher", 0),
    "L15.base_plus_null.fisher.all_seeds": VectorId(15, "base_plus_null", "fisher", ALL_SEEDS),
    "L15.orthogonal.all_seeds": VectorId(15, "orthogonal", seed=ALL_SEEDS),
    "L3.base_range.covariance": VectorId(3, "base_range", "covariance"),
    # User-defined names of any form.
    "L3.external.s3": VectorId(3, "external", "s3"),
    "L3.external.v1.base": VectorId(3, "external", "v1.base"),
    "L3.other_trait.all_seeds": VectorId(3, "other_trait", "all_seeds"),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_an_id_is_written_and_read(text: str) -> None:
    assert VectorId.parse(text) == WRITTEN[text]
    assert str(WRITTEN[text]) == text


@given(st.integers(0, 99), st.sampled_from(["base", "subspace_4"]), st.sampled_from(["", "fisher"]),
       st.sampled_from([None, 0, 7, ALL_SEEDS]))  # fmt: skip
def test_what_is_written_reads_the_same(layer, family, which, seed) -> None:
    one = VectorId(layer, family, which, seed)
    assert VectorId.parse(str(one)) == one


@pytest.mark.parametrize("text", ["", "none", "L.base", "L15", "L15.", "15.base", "xL15.base"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no vector id"):
        VectorId.parse(text)


def test_all_seeds_stand_for_the_seeds_of_that_family_and_kind_alone() -> None:
    together = VectorId(2, "base_plus_null", "fisher", ALL_SEEDS)
    assert VectorId(2, "base_plus_null", "fisher", 0).among(together)
    for other in ("L2.base_plus_null.jacobian.s0", "L3.base_plus_null.fisher.s0",
                  "L2.base_plus_null.fisher", "L2.base_plus_null.fisher.all_seeds"):  # fmt: skip
        assert not VectorId.parse(other).among(together)
    assert not VectorId(2, "base").among(VectorId(2, "base"))
    assert base_id(2) == "L2.base"
