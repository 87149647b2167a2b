import pytest

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.studies import Study
from steer_assets.paths import CATALOG, REPOSITORY
from steer_assets.pipeline.conditions import holds_language_model
from tests.catalog.samples import STUDY, change

SHIPPED = sorted((CATALOG / "studies").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_study_is_one_and_asks_for_no_more_than_the_catalog_has(path):
    study = catalog.study(path.stem)
    catalog.control_trait(study.control_trait)
    for name in catalog.trait_keys():
        trait = catalog.trait(name)
        assert trait.n_pairs >= study.prompts.contrast_pairs
        for environment, wanted in study.prompts.test.items():
            assert len(getattr(trait.test, environment)) >= wanted, (name, environment)


def test_quick_covers_two_blocks_so_that_they_can_differ():
    assert len(catalog.study("quick").layers.steer) >= 2


#: What is changed in `quick` (old, new), the field to be named, and what is said.
MALFORMED = {
    "a layer that is none": (
        "steer: [L/2, 2L/3]",
        "steer: [L/2, half]",
        "layers.steer.1",
        "neither a number nor a fraction",
    ),
    "a negative layer": ("steer: [L/2,", "steer: [-3,", "layers.steer.0", "layer -3 is negative"),
    "no layers": ("steer: [L/2, 2L/3]", "steer: []", "layers.steer", "at least 1 item"),
    "an environment forgotten": (
        ", safety_style: 1}",
        "}",
        "prompts.test",
        "say how many prompts of safety_style",
    ),
    "hardly any prompts": (
        "{in_distribution: 5, topic_shift: 1, genre_shift: 1, safety_style: 1}",
        "{in_distribution: 3, topic_shift: 0, genre_shift: 0, safety_style: 0}",
        "prompts.test",
        "at least 4 test prompts",
    ),
    "an estimator for another kind": (
        "fisher: stable_rank",
        "fisher: gavish_donoho",
        "spectra.estimator",
        "gavish_donoho is for covariance only, not for fisher",
    ),
    "a kind without estimator": (
        ", fisher: stable_rank",
        "",
        "spectra.estimator",
        "name the estimator for fisher",
    ),
    "a family forgotten": ("    - base_plus_orthogonal\n", "", "vectors", "is always needed"),
    "a family that is none": ("    - logistic\n", "    - logical\n", "vectors.families.1", "'pca'"),
    "arms that are not built": (
        "    - logistic\n",
        "",
        "file",
        "generation.arms uses logistic, not in vectors.families",
    ),
    "a subspace of more than there is": (
        "subspace_sizes: [1, 5]",
        "subspace_sizes: [1, 51]",
        "vectors",
        "may not exceed subspace_directions",
    ),
    "a model over no process": (
        "seed: 7\n",
        "seed: 7\nnumerics: {tensor_parallel: 0}\n",
        "numerics.tensor_parallel",
        "greater than or equal to 1",
    ),
    "a confidence of one": (
        "confidence: 0.95",
        "confidence: 1.0",
        "statistics.confidence",
        "less than 1",
    ),
    "an endless margin": (
        "margin_sd: 0.3",
        "margin_sd: .inf",
        "statistics.margin_sd",
        "less than or equal to 100",
    ),
    "a margin that is no number": (
        "margin_sd: 0.3",
        "margin_sd: .nan",
        "statistics.margin_sd",
        "less than or equal to 100",
    ),
    "a negative temperature": (
        "temperature: 0.8",
        "temperature: -0.8",
        "generation.temperature",
        "greater than or equal to 0",
    ),
    "half a sample": ("samples: 2", "samples: 2.5", "generation.samples", "valid integer"),
    "a scope that is none": (
        "max_new_tokens: 6",
        "max_new_tokens: 6\n  scope: everywhere",
        "generation.scope.name",
        "'last_prompt_and_generated'",
    ),
    "a scope without its k": (
        "max_new_tokens: 6",
        "max_new_tokens: 6\n  scope: first_k",
        "generation.scope",
        "first_k needs k, the number of tokens",
    ),
    "a k that nothing counts": (
        "max_new_tokens: 6",
        "max_new_tokens: 6\n  scope: {name: generated, k: 3}",
        "generation.scope",
        "generated has no k",
    ),
    "a dose of nothing": (
        "alphas: [0.5, 2.0]",
        "alphas: [0.0, 2.0]",
        "generation.arms.1.alphas.0",
        "greater than 0",
    ),
    "a scorer that is none": ("scorers: [minilm]", "scorers: [gut]", "scoring.scorers.0", "minilm"),
    "a setting that is none": (
        "max_new_tokens: 6",
        "max_new_token: 6",
        "generation.max_new_token",
        "Extra inputs",
    ),
    "a seed beyond 64 bits": ("seed: 7", f"seed: {2**63}", "seed", "less than"),
    "another name": ("study: mine", "study: slow", "study", "expected slow.yaml"),
}


#: What the line to be named holds, where it is not what was put in.
NAMED = {
    "a model over no process": "numerics:",
    "an environment forgotten": "  test:",
    "a kind without estimator": "  estimator:",
    "a family forgotten": "  families:",
    "a subspace of more than there is": "  families:",
    "arms that are not built": "study:",
    "a scope that is none": "  scope:",
    "a scope without its k": "  scope:",
    "a k that nothing counts": "  scope:",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_study_is_answered_with_line_field_and_expectation(user, case):
    old, new, field, said = MALFORMED[case]
    path = user / "studies" / "mine.yaml"
    text = change(STUDY, old, new)
    path.write_text(text)
    with pytest.raises(CatalogError) as caught:
        catalog.study("mine")
    errors = [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]
    matching = [error for error in errors if f": {field}" in error and said in error]
    assert matching, errors
    line = int(matching[0].split(":")[0])
    held = NAMED.get(case, new.strip())
    assert line == next(n for n, row in enumerate(text.splitlines(), 1) if held in row)


def test_the_sample_itself_is_a_study(user):
    (user / "studies" / "mine.yaml").write_text(STUDY)
    settings = catalog.study("mine").settings(("seed", "statistics.margin_sd", "layers.steer"))
    assert settings == {"seed": 7, "statistics.margin_sd": 0.3, "layers.steer": ["L/2", "2L/3"]}


def test_every_setting_that_a_stage_reads_exists():
    study = catalog.study("quick")
    for stage in STAGES.values():
        assert set(study.settings(stage.settings)) == set(stage.settings)


def test_studies_of_the_tests_are_studies(user):
    for path in sorted((REPOSITORY / "tests" / "studies").glob("*.yaml")):
        (user / "studies" / path.name).write_text(path.read_text())
        assert catalog.study(path.stem).study == path.stem


def test_the_number_of_processes_is_an_input_of_every_stage_with_a_model_where_it_is_not_one():
    one = catalog.study("quick")
    two = one.model_copy(
        update={"numerics": one.numerics.model_copy(update={"tensor_parallel": 2})}
    )
    # What was made before there was the setting stays current.
    assert one.settings(("numerics",)) == {"numerics": {"device": "auto", "dtype": "float32"}}
    assert Study.model_validate(two.model_dump(mode="json")) == two
    for stage in STAGES.values():
        before, after = one.settings(stage.settings), two.settings(stage.settings)
        changed = {name for name in before if before[name] != after[name]}
        holds = holds_language_model(stage) and stage.name != "model_snapshot"
        assert changed == ({"numerics"} if holds else set()), stage.name
