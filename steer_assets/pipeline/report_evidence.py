"""The stored rows from which a page, its figures and its tables are made.

The stage that writes the page and the commands that export its figures and tables use the same
evidence, so their output agrees.
"""

import importlib.metadata
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.studies import Study
from steer_assets.pipeline import freshness, working_point
from steer_assets.pipeline.stage import registered
from steer_assets.reporting.evidence import Evidence
from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.layout import Layout, PartitionKey
from steer_assets.version import VERSION

REPORTS = "equivalence_reports"
_PACKAGES = ("torch", "transformers", "numpy", "scipy", "dagster", "duckdb")
_DIMENSIONS = {"models": ("model",), "prompt_sets": ("trait",), "scorer_validation": ("trait",)}
#: Tables shown on pages that earlier stages make.
INPUTS = (
    "models",
    "prompt_sets",
    "scorer_validation",
    "judge_validation",
    "steering_calibration",
    "null_spaces",
    "null_energies",
    "null_space_angles",
    "effective_dimension",
    "svd_spectra",
    "behavioral_spectra",
    "steering_vectors",
    "logit_distances",
    "dose_response",
    "equivalence_radius",
    "generations",
    "thinking_sections",
    "classifier_scores",
    "fluency",
    "text_divergences",
    "text_predictions",
    "trait_gradients",
    "protocol_comparison",
    "protocol_findings",
)
#: Tables that the report stage makes.
MADE = (
    REPORTS,
    "equivalence_tests",
    "family_tests",
    "efficacy_ratios",
    "heterogeneity",
    "crossed_intervals",
    "sampling_noise",
    "effect_correlations",
    "spanning",
    "scorer_agreement",
)


class StoredTables(Mapping[str, pl.DataFrame]):
    """Stored rows of a model and trait by table; tables without parts are omitted.

    A table is read when it is first asked for: a figure needs few of them, and texts take longest.
    """

    def __init__(self, layout: Layout, key: PartitionKey, names: tuple[str, ...]) -> None:
        self._parts: dict[str, list[Path]] = {}
        self._read: dict[str, pl.DataFrame] = {}
        for name in names:
            own = {d: key[d] for d in _DIMENSIONS.get(name, ("model", "trait"))}
            # Some tables have one part per kind below the partition.
            if parts := sorted(layout.part(name, own).parent.rglob("part.parquet")):
                self._parts[name] = parts

    def __getitem__(self, name: str) -> pl.DataFrame:
        if name not in self._read:
            self._read[name] = pl.concat(read_part(path) for path in self._parts[name])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def assemble(
    layout: Layout, key: PartitionKey, study: Study, tables: Mapping[str, pl.DataFrame]
) -> Evidence:
    """Rows together with their catalog entries and lineage."""
    model, trait = key["model"], key["trait"]
    study = working_point.of_report(layout, key, study)
    about = catalog.trait(trait)
    return Evidence(
        model=model,
        trait=trait,
        study=study.model_dump(mode="json"),
        tables=tables,
        trait_title=about.title,
        poles=(about.poles.positive, about.poles.negative),
        model_title=catalog.model_entry(model).title,
        provenance=_provenance(layout, key),
        command=f"steer run --model {model} --trait {trait} --study {study.study}",
        versions={"steer-assets": VERSION}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
    )


def stored(layout: Layout, model: str, trait: str) -> Evidence:
    """The stored evidence of an existing report.

    Raises:
        CatalogError: there is no report yet, or its study is no longer in the catalog.
    """
    catalog.model_entry(model)
    catalog.trait(trait)
    key = {"model": model, "trait": trait}
    record = freshness.record_of(layout, registered()[REPORTS], key)
    if record is None:
        raise CatalogError(
            f"there is no report for {model} and {trait} yet; "
            f"`steer run --model {model} --trait {trait}` makes it"
        )
    tables = StoredTables(layout, key, INPUTS + MADE)
    return assemble(layout, key, catalog.study(record.study), tables)


def _provenance(layout: Layout, key: PartitionKey) -> pl.DataFrame:
    """Every artifact behind the page, with its version and inputs."""
    rows = [
        {
            "artifact": f"{record.asset_key} {record.partition}",
            "data_version": record.data_version,
            "code_version": record.code_version,
            "inputs": ", ".join(
                f"{i.asset_key} {i.partition} {i.data_version[:12]}" for i in sorted(record.inputs)
            ),
        }
        for record in freshness.materialised_inputs(layout, registered()[REPORTS], key)
    ]
    schema = dict.fromkeys(("artifact", "data_version", "code_version", "inputs"), pl.String)
    return pl.DataFrame(rows, schema=schema)
