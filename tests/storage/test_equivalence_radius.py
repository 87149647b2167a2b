"""The view `v_equivalence_radius` over planted rows whose radii follow from the square law."""

import duckdb
import polars as pl
import pytest

from steer_assets.paths import SQL

NORM = 4.0
_KEY = {"model": "m", "trait": "t", "layer": 2, "run_id": "", "code_version": ""}
_TABLES = ("equivalence_radius", "text_predictions", "steering_vectors")


def _ask(**tables: list[dict[str, object]]) -> pl.DataFrame:
    with duckdb.connect() as connection:
        for name in _TABLES:
            columns = (SQL / "tables" / f"{name}.sql").read_text().replace(" NOT NULL", "")
            connection.execute(columns)
            frame = pl.DataFrame([_KEY | row for row in tables[name]])
            connection.register("given", frame.to_arrow())
            connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM given")
        connection.execute((SQL / "views" / "v_equivalence_radius.sql").read_text())
        return connection.sql("FROM v_equivalence_radius").pl()


def _step(family: str, space: str, length: float, kl: float, predicted: float) -> dict[str, object]:
    return {"vector_id": f"L2.{family}.{space}", "family": family, "null_space": space,
            "step_norm": length, "kl": kl, "predicted_kl": predicted}  # fmt: skip


def _token(
    family: str, space: str, measured: float, reached: bool, start: str
) -> dict[str, object]:
    return {"family": family, "null_space": space, "tolerance": 0.04, "reference_id": start,
            "measured_radius": measured, "predicted_radius": 2 * measured,
            "measured_reached": reached, "largest_step": 16.0}  # fmt: skip


@pytest.fixture(scope="module")
def radii() -> pl.DataFrame:
    """At random: KL 0.01 |e|^2 up to the nearest step, and less than squares beyond. In the null
    space of texts: a hundredth of that, predicted to be nothing less.
    """
    return _ask(
        steering_vectors=[
            {"vector_id": "L2.base", "family": "base", "norm": NORM},
            {"vector_id": "L2.base_plus_orthogonal.s0", "family": "orthogonal", "norm": 1.0},
        ],
        text_predictions=[
            _step("base_plus_orthogonal", "", 2.0, 0.04, 0.08),
            _step("base_plus_orthogonal", "", 8.0, 0.2, 1.28),
            _step("base_plus_null", "text", 2.0, 0.0004, 0.0004),
            _step("base_plus_null", "text", 8.0, 0.0064, 0.0064),
            _step("external", "", 2.0, 0.04, 0.04),
            _step("base_plus_range", "text", 0.0, 0.0, 0.0),
        ],
        equivalence_radius=[
            _token("orthogonal", "", 1.0, True, "L2.base"),
            _token("orthogonal", "", 3.0, True, "L2.base"),
            _token("base_plus_null", "fisher", 16.0, False, "L2.base"),
            _token("orthogonal", "", 99.0, True, "none"),
        ],
    )


def test_radii_are_multiples_of_v_by_observer_and_kind(radii: pl.DataFrame) -> None:
    found = {
        (row["direction"], row["null_space"], row["observer"]): (
            row["measured_radius"], row["predicted_radius"], row["reached"], row["largest_step"]
        )
        for row in radii.iter_rows(named=True)
    }  # fmt: skip
    assert found == {
        # sqrt(0.04 / 0.01) from the step at the tolerance, whatever the longer one does;
        # predicted at 0.02 |e|^2: sqrt(0.04 / 0.02) = 1.414.
        ("random", "", "whole text"): (2.0 / NORM, 0.354, True, 8.0 / NORM),
        # sqrt(0.04 / 0.0001) = 20: beyond the longest step, which is said.
        ("null", "text", "whole text"): (20.0 / NORM, 20.0 / NORM, False, 8.0 / NORM),
        # Seeds of one kind are averaged, and steps from the unsteered arm left out.
        ("random", "", "next token"): (2.0 / NORM, 4.0 / NORM, True, 16.0 / NORM),
        ("null", "fisher", "next token"): (16.0 / NORM, 32.0 / NORM, False, 16.0 / NORM),
    }
    assert set(radii["tolerance"]) == {0.04}
