import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steer_assets.geometry import families
from steer_assets.geometry.errors import DegenerateError, NotFiniteError, ShapeError
from steer_assets.geometry.families import FamilyInputs, FamilyPlan, Skipped, SteeringVector

from .toys import orthonormal

SQRT2 = {"base_plus_orthogonal", "base_plus_null", "base_plus_range"}
OWN_LENGTH = {"base_range", "base_null", "external"}


def draw_inputs(seed: int, d: int, scale: float = 1.0, layer: int = 15) -> FamilyInputs:
    rng = np.random.default_rng(seed)
    bases = {}
    for kind in families.KINDS:
        q = orthonormal(rng, d, d)
        bases[kind] = (q[:, : d // 2], q[:, d // 2 :])
    return FamilyInputs(
        layer=layer,
        positive=scale * (rng.standard_normal((6, d)) + 0.4),
        negative=scale * rng.standard_normal((6, d)),
        null_bases=bases,
        other_traits={"formality": rng.standard_normal(d)},
        external={"mine": 3.0 * rng.standard_normal(d)},
    )


def full_plan(d: int, root: int = 0) -> FamilyPlan:
    sizes = tuple(k for k in (1, 5, 10, 20, 50) if k < d)
    return FamilyPlan(
        orthogonal_seeds=(0, 1),
        null_seeds=(0, 1),
        random_seeds=(0, 1, 2),
        subspace_sizes=sizes,
        subspace_directions=sizes[-1],
        families=tuple(families.FAMILIES),
        root_entropy=(root,),
    )


def by_id(vectors: list[SteeringVector]) -> dict[str, np.ndarray]:
    table = {vector.vector_id: vector.values for vector in vectors}
    assert len(table) == len(vectors)
    return table


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    d=st.integers(4, 60),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([1e-8, 1.0, 1e8]),
)
def test_every_vector_is_finite_and_as_long_as_named(d: int, seed: int, scale: float) -> None:
    inputs = draw_inputs(seed, d, scale)
    vectors = families.build(inputs, full_plan(d, seed))
    v = by_id(vectors)["L15.base"]
    norm = np.linalg.norm(v)
    for vector in vectors:
        assert vector.values.dtype == np.float64
        assert vector.values.shape == (d,)
        assert np.isfinite(vector.values).all()
        assert vector.vector_id.startswith(f"L15.{vector.family}")
        expected = norm * (np.sqrt(2) if vector.family in SQRT2 else 1.0)
        if vector.family not in OWN_LENGTH:
            assert np.linalg.norm(vector.values) == pytest.approx(expected, rel=1e-12)
        if vector.family == "orthogonal" or vector.family.startswith("subspace_"):
            assert abs(vector.values @ v) <= 1e-13 * norm**2
        if vector.family in ("base_plus_null", "base_plus_range"):
            basis = inputs.null_bases[vector.null_space][vector.family == "base_plus_null"]
            u = (vector.values - v) / norm
            assert abs(u @ v) <= 1e-13 * norm
            np.testing.assert_allclose(basis @ (basis.T @ u), u, atol=1e-12)


def test_identifiers_are_those_agreed() -> None:
    ids = set(by_id(families.build(draw_inputs(0, 60), full_plan(60))))
    assert {
        "L15.base",
        "L15.pca",
        "L15.logistic",
        "L15.negated",
        "L15.orthogonal.s0",
        "L15.base_plus_orthogonal.s1",
        "L15.base_plus_orthogonal_matched.s0",
        "L15.base_plus_null.fisher.s0",
        "L15.base_plus_range.jacobian.s1",
        "L15.base_range.covariance",
        "L15.base_null.fisher",
        "L15.subspace_5.s0",
        "L15.subspace_50.s2",
        "L15.random.s2",
        "L15.other_trait.formality",
        "L15.external.mine",
    } <= ids
    assert len(ids) == 4 + 3 * 2 + 2 * 3 * 2 + 2 * 3 + 5 * 3 + 3 + 2


def test_the_three_orthogonal_families_share_their_directions() -> None:
    table = by_id(families.build(draw_inputs(1, 30), full_plan(30)))
    v = table["L15.base"]
    for seed in (0, 1):
        perp = table[f"L15.orthogonal.s{seed}"]
        assert np.array_equal(table[f"L15.base_plus_orthogonal.s{seed}"], v + perp)
        np.testing.assert_allclose(
            table[f"L15.base_plus_orthogonal_matched.s{seed}"], (v + perp) / np.sqrt(2), rtol=1e-12
        )


def test_subspaces_are_nested_and_of_their_dimension() -> None:
    plan = dataclasses.replace(full_plan(60), random_seeds=tuple(range(12)))
    vectors = families.build(draw_inputs(2, 60), plan)

    def stack(*names: str) -> np.ndarray:
        return np.stack([vector.values for vector in vectors if vector.family in names])

    assert np.linalg.matrix_rank(stack("subspace_1"), tol=1e-9) == 1
    assert np.linalg.matrix_rank(stack("subspace_5"), tol=1e-9) == 5
    assert np.linalg.matrix_rank(stack("subspace_1", "subspace_5"), tol=1e-9) == 5
    assert np.linalg.matrix_rank(stack("subspace_5", "subspace_10"), tol=1e-9) == 10


def test_same_call_same_bytes_and_no_vector_depends_on_the_others() -> None:
    inputs, plan = draw_inputs(3, 30), full_plan(30)
    whole = by_id(families.build(inputs, plan))
    again = by_id(families.build(inputs, plan))
    assert all(np.array_equal(whole[key], again[key]) for key in whole)
    for family in reversed(families.FAMILIES):
        alone = by_id(families.build(inputs, dataclasses.replace(plan, families=(family,))))
        assert alone
        assert all(np.array_equal(whole[key], alone[key]) for key in alone)


def test_another_root_layer_or_seed_gives_other_draws() -> None:
    inputs, plan = draw_inputs(4, 30), full_plan(30)
    here = by_id(families.build(inputs, plan))
    other_root = by_id(families.build(inputs, dataclasses.replace(plan, root_entropy=(1,))))
    other_layer = by_id(families.build(dataclasses.replace(inputs, layer=16), plan))
    for suffix in ("orthogonal.s0", "random.s0", "subspace_5.s0", "base_plus_null.fisher.s0"):
        key = f"L15.{suffix}"
        assert not np.array_equal(here[key], other_root[key])
        assert not np.array_equal(here[key], other_layer[f"L16.{suffix}"])
    assert not np.array_equal(here["L15.random.s0"], here["L15.random.s1"])
    assert np.array_equal(here["L15.base"], other_root["L15.base"])


def test_external_vectors_are_untouched() -> None:
    inputs = draw_inputs(5, 10)
    copy = dataclasses.replace(
        inputs, external={"copy": (inputs.positive - inputs.negative).mean(axis=0)}
    )
    table = by_id(families.build(copy, full_plan(10)))
    assert np.array_equal(table["L15.external.copy"], table["L15.base"])


def test_what_does_not_exist_is_refused_or_reported() -> None:
    inputs = draw_inputs(6, 12)
    nothing_null = dataclasses.replace(
        inputs, null_bases={"fisher": (np.eye(12), np.eye(12)[:, :0])}
    )
    with pytest.raises(DegenerateError, match=r"L15\.base_plus_null\.fisher\.s0: .*empty"):
        families.build(nothing_null, full_plan(12))
    skipped: list[Skipped] = []
    vectors = families.build(nothing_null, full_plan(12), on_skip=skipped.append)
    assert [entry.vector_id for entry in skipped] == [
        "L15.base_plus_null.fisher.s0",
        "L15.base_plus_null.fisher.s1",
        "L15.base_null.fisher",
    ]
    table = by_id(vectors)
    np.testing.assert_allclose(table["L15.base_range.fisher"], table["L15.base"], rtol=1e-12)


def test_refusals() -> None:
    inputs, plan = draw_inputs(7, 8), full_plan(8)

    def build(plan: FamilyPlan = plan, **changes: object) -> list[SteeringVector]:
        return families.build(dataclasses.replace(inputs, **changes), plan)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="unknown family 'none'; known: base"):
        build(dataclasses.replace(plan, families=("none",)))
    with pytest.raises(ValueError, match="unknown null space 'output'"):
        build(null_bases={"output": (np.eye(8), np.eye(8))})
    with pytest.raises(ValueError, match=r"size 9 is outside 1\.\.5"):
        build(dataclasses.replace(plan, subspace_sizes=(9,)))
    with pytest.raises(DegenerateError, match="pairs is zero"):
        build(negative=inputs.positive)
    with pytest.raises(NotFiniteError, match="external vector bad"):
        build(external={"bad": np.full(8, np.inf)})
    with pytest.raises(ShapeError, match="width 7, expected 8"):
        build(external={"short": np.ones(7)})
    with pytest.raises(ShapeError, match="trait politeness has width 7, expected 8"):
        build(other_traits={"politeness": np.ones(7)})
    with pytest.raises(DegenerateError, match=r"L15\.external\.nought: .*zero norm"):
        build(external={"nought": np.zeros(8)})
