"""Parts of every table that a view or an example query reads: two traits of one model."""

from steer_assets.storage.layout import Layout, PartitionKey
from steer_assets.storage.lineage import InputVersion
from tests.storage.synthetic import LAYER, MODEL, TRAITS, VECTORS, record, write


def _effects(layout: Layout, key: PartitionKey) -> None:
    shared = {"protocol": "controlled", "scorer": "minilm", "layer": LAYER}
    tests = [
        {
            **shared,
            "comparison": comparison,
            "vector_id": vector,
            "family": family,
            "alpha": alpha,
            "environment": environment,
            "margin_kind": margin,
            "verdict": "inconclusive",
        }
        for comparison in ("efficacy", "against_base")
        for vector, family in VECTORS.items()
        for alpha in (0.5, 1.0)
        for environment in ("pooled", "in_distribution")
        for margin in ("sd", "efficacy")
    ]
    write(layout, "equivalence_tests", key, *tests)
    families = [
        {
            **shared,
            "family": "base_plus_orthogonal",
            "alpha": 1.0,
            "environment": environment,
            "margin_kind": margin,
            "verdict": "inconclusive",
        }
        for environment in ("pooled", "in_distribution")
        for margin in ("sd", "efficacy")
    ]
    write(layout, "family_tests", key, *families)
    write(layout, "equivalence_reports", key, {**shared, "verdict": "different"})
    _protocols(layout, key)


def _protocols(layout: Layout, key: PartitionKey) -> None:
    """One conclusion that a switch decides, and one that was not measured."""
    shared = {"protocol": "reference", "scorer": "minilm", "layer": LAYER}
    measured = {**shared, "conclusion": "orthogonal_irrelevance", "quantity": "d"}
    numbers = [
        {**measured, "setting": "as_published", "switch": "", "value": 0.1, "finding": "holds"},
        {**measured, "setting": "controlled", "switch": "", "value": 0.8, "finding": "fails"},
        *(
            {**measured, "setting": "without", "switch": switch, "value": value, "finding": says}
            for switch, value, says in (
                ("prompt_included", 0.7, "fails"),
                ("unmatched_norm", 0.1, "holds"),
            )
        ),
    ]
    write(layout, "protocol_comparison", key, *numbers)
    findings = [
        {
            **measured,
            "as_published": "holds",
            "controlled": "fails",
            "touched": "prompt_included, unmatched_norm",
            "findings_without": "fails, holds",
            "deciding": "prompt_included",
        },
        {
            **shared,
            "conclusion": "alpha_robustness",
            "quantity": "d",
            "as_published": "not measured",
            "controlled": "not measured",
            "touched": "no_baseline",
            "findings_without": "not measured",
            "deciding": "",
        },
    ]
    write(layout, "protocol_findings", key, *findings)


def _texts(layout: Layout, key: PartitionKey) -> None:
    """One prompt unsteered, under v and under v + v_perp, scored and measured."""
    arms = {"none": 0.0, **dict.fromkeys(VECTORS, 1.0)}
    shared = {"protocol": "controlled", "environment": "in_distribution", "prompt_id": "a"}
    ids = [{"generation_id": vector} for vector in arms]
    texts = [{**shared, "generation_id": v, "vector_id": v, "alpha": a} for v, a in arms.items()]
    write(layout, "generations", key, *texts)
    write(layout, "classifier_scores", key, *ids)
    write(layout, "fluency", key, *ids)
    divergence = {
        "layer": LAYER,
        "reference_id": next(name for name, family in VECTORS.items() if family == "base"),
        "environment": "pooled",
        "n_tokens": 16,
        "text_verdict": "open",
    }
    compared = [
        {**divergence, "vector_id": name, "family": family}
        for name, family in VECTORS.items()
        if family != "base"
    ]
    write(layout, "text_divergences", key, *compared)
    gradient = {"layer": LAYER, "at": "steered", "scorer": "minilm", "cosine": 0.5}
    slopes = [{**gradient, "vector_id": name, "family": family} for name, family in VECTORS.items()]
    write(layout, "trait_gradients", key, *slopes)
    step = {"layer": LAYER, "vector_id": compared[0]["vector_id"], "kl": 1.0, "predicted_kl": 1.1}
    write(layout, "text_predictions", key, {**step, "multiple": 1.0, "step_norm": 2.0})
    read = [{"generation_id": vector, "vector_id": vector, "own": True} for vector in arms]
    write(layout, "text_likelihoods", key, *read)


def _behind_the_effects(layout: Layout, key: PartitionKey) -> None:
    """One row of every table with details of the comparisons."""
    vector = next(name for name, family in VECTORS.items() if family != "base")
    shared = {"protocol": "controlled", "scorer": "minilm", "layer": LAYER, "alpha": 1.0}
    arm = {**shared, "comparison": "against_base", "vector_id": vector}
    for table in (
        "efficacy_ratios",
        "heterogeneity",
        "crossed_intervals",
        "effect_correlations",
        "sampling_noise",
    ):
        write(layout, table, key, arm)
    write(layout, "spanning", key, shared)
    write(layout, "scorer_agreement", key, {"protocol": "controlled", "what": "texts"})
    validation = {"scorer": "minilm", "auroc": 0.9}
    write(layout, "scorer_validation", {"trait": key["trait"]}, validation)


def _geometry(layout: Layout, key: PartitionKey) -> None:
    for kind in ("covariance", "jacobian", "fisher"):
        row = {
            "layer": LAYER,
            "environment": "pooled",
            "at": "unsteered",
            "estimator": "variance_99",
        }
        write(layout, "null_spaces", {**key, "kind": kind}, row)
    energies = [
        {"vector_id": vector, "layer": LAYER, "kind": kind}
        for vector in VECTORS
        for kind in ("covariance", "jacobian", "fisher")
    ]
    write(layout, "null_energies", key, *energies)
    vectors = [
        {"vector_id": vector, "family": family, "layer": LAYER}
        for vector, family in VECTORS.items()
    ]
    write(layout, "steering_vectors", key, *vectors)
    distances = [
        {
            "vector_id": vector,
            "reference_id": "none",
            "layer": LAYER,
            "alpha": alpha,
            "kl": alpha,
            "predicted_kl": 2 * alpha,
        }
        for vector in VECTORS
        for alpha in (0.5, 1.0)
    ]
    write(layout, "logit_distances", key, *distances)
    _doses(layout, key)


def _doses(layout: Layout, key: PartitionKey) -> None:
    """Steps that the second-order law predicts, and ranks that have nearly settled."""
    base, along, *_ = VECTORS
    steps = [
        {
            "layer": LAYER,
            "reference_id": base,
            "vector_id": along,
            "dose": dose,
            "relative_step": dose / 10,
            "step_norm": dose,
            "kl": dose**2,
            "predicted_kl": dose**2,
        }
        for dose in (0.25, 0.5, 1.0)
    ]
    write(layout, "dose_response", key, *steps)
    radius = {"layer": LAYER, "reference_id": base, "vector_id": along, "tolerance": 0.01}
    write(layout, "equivalence_radius", key, radius)
    swept = {"layer": LAYER, "alpha": 1.0, "iso_multiple": 1.0, "chosen": "given"}
    write(layout, "steering_calibration", key, swept)
    look = {"family": "base_plus_orthogonal", "layer": LAYER, "alpha": 1.0, "look": 1}
    write(layout, "look_decisions", key, {**look, "decision": "equivalent"})
    thought = {"generation_id": "none", "section": "closed", "n_thinking_tokens": 9, "reason": ""}
    write(layout, "thinking_sections", key, thought)
    write(layout, "calibration_prompts", key, {"prompt_id": "b", "split": "calibration"})
    ranks = [
        {
            "layer": LAYER,
            "kind": kind,
            "estimator": "variance_99",
            "n_prompts": n,
            "value": value,
        }
        for kind in ("covariance", "jacobian", "fisher")
        for n, value in ((8, 10.0), (16, 11.0))
    ]
    write(layout, "effective_dimension", key, *ranks)
    write(layout, "null_space_angles", key, {"layer": LAYER, "compared": "environments"})


def write_warehouse(layout: Layout) -> None:
    """Parts of every table that a view or an example query reads, and their lineage."""
    summary = []
    for trait in TRAITS:
        key = {"model": MODEL, "trait": trait}
        write(layout, "prompt_sets", {"trait": trait}, {"prompt_id": "a"}, {"prompt_id": "b"})
        _geometry(layout, key)
        _effects(layout, key)
        _texts(layout, key)
        _behind_the_effects(layout, key)
        summary.append({**key, "protocol": "controlled", "scorer": "minilm", "layer": LAYER})
        record(layout, "prompt_sets", {"trait": trait}, [InputVersion("code", "all", "1")])
        record(
            layout,
            "equivalence_reports",
            key,
            [
                InputVersion("prompt_sets", trait, f"version of prompt_sets {trait}"),
                InputVersion("code", "all", "1"),
                InputVersion("study", "statistics", "s1"),
            ],
        )
    write(layout, "identifiability_summary", {}, *summary)
