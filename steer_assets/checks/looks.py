"""Checks of a study's looks: texts and decisions belong to each other."""

from itertools import pairwise

import polars as pl

from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.checks.harness import Finding, check
from steer_assets.geometry.vector_ids import NONE_ID
from steer_assets.pipeline.design import looks, multi_layer, prompt_selection, two_traits
from steer_assets.pipeline.design.arms import Arm, arms_by_environment, last_looks
from steer_assets.pipeline.stage import StageRun
from steer_assets.stats.sequential.stopping import HOPELESS

_KEY = ("family", "null_space", "layer", "alpha")
_DECISIONS = ("equivalent", "different", "hopeless", "open")


def planned_samples(stored: StageRun) -> dict[tuple[str, Arm, int], int]:
    """Samples by prompt, arm and look, of the controlled protocol, by the stored decisions."""
    study = stored.study
    vectors = stored.rows("steering_vectors").filter(pl.col("family") != NONE_ID)
    steer = stored.steer_layers()
    n_layers = stored.model_facts()["n_layers"]
    # Others' vectors may have come after the texts were made.
    have = set(stored.rows("generations")["vector_id"])
    pairs = [p for p in two_traits.declared(study, stored.trait, steer) if p.vector_id in have]
    arms = arms_by_environment(study, vectors, steer, n_layers, pairs)
    last = last_looks(study, vectors, steer, n_layers)
    prompts = prompt_selection.generation_tests(stored.rows("prompt_sets"), study)
    every = list(dict.fromkeys(arm for own in arms.values() for arm in own))
    named = multi_layer.with_multi_layer(vectors, study, steer)
    known = looks.families(two_traits.with_two_traits(named, study, stored.trait, steer), every)
    decided = stored.rows("look_decisions").filter(pl.col("decision") != "open")
    stopped = {tuple(row[:4]): row[4] for row in decided.select(*_KEY, "look").iter_rows()}
    at_look = {
        look: looks.going_on(
            look, every, known, [f for f in known if stopped.get(f.key, look) < look], last
        )
        for look in range(1, len(study.generation.looks) + 1)
    }
    where = prompts.select("prompt_id", "environment").iter_rows()
    designed = [
        (prompt, arm, look)
        for (prompt, environment), look in zip(
            where, looks.look_of_prompts(prompts, study), strict=True
        )
        for arm in arms.get(environment, [])
    ]
    end = len(study.generation.looks)
    still = [family for family in known if stopped.get(family.key, end) >= end]
    by_look = [(look, arm) for _, arm, look in designed]
    more, n_more = looks.further_samples(by_look, at_look, still, last, study)
    return {
        (prompt, arm, look): study.generation.samples + n_more * (look == end and arm in more)
        for prompt, arm, look in designed
        if arm in at_look[look]
    }


@check("generations", blocking=True)
def texts_follow_the_decisions(stored: StageRun) -> Finding:
    """Every arm has texts of the prompts of a look, exactly where no earlier look stopped it.

    It has as many as planned, and further ones of the last look by what was saved.
    """
    rows = stored.rows("generations").filter(pl.col("protocol") == CONTROLLED)
    have = {
        (prompt, Arm(vector_id, alpha), look): n
        for prompt, vector_id, alpha, look, n in rows.group_by(
            "prompt_id", "vector_id", "alpha", "look"
        )
        .len()
        .iter_rows()
    }
    wanted = planned_samples(stored)
    for words, apart in (
        ("missing", wanted.keys() - have.keys()),
        ("not expected", have.keys() - wanted.keys()),
        ("of another number", {key for key in have if have[key] != wanted.get(key)}),
    ):
        if apart:
            prompt, arm, look = min(apart)
            return Finding(
                False,
                f"texts of {len(apart)} prompts and arms are {words}, "
                f"first of {arm.vector_id} at {arm.alpha:g} on {prompt}, look {look}",
            )
    n = len(stored.study.generation.looks)
    return Finding(True, f"{len(have)} prompts and arms, as {n} looks decided", {"looks": n})


@check("generations")
def decisions_follow_their_numbers(stored: StageRun) -> Finding:
    """Sequential p-values never rise, decisions are significant or hopeless, and are the last."""
    rows = stored.rows("look_decisions")
    level = stored.study.statistics.significance
    p = ("p_equivalence", "p_difference")
    for key, own in rows.sort("look").group_by(*_KEY, maintain_order=True):
        name = f"{key[0]} at block {key[2]}, dose {key[3]:g}"
        decisions = own["decision"].to_list()
        if unknown := set(decisions) - set(_DECISIONS):
            return Finding(False, f"{name}: {min(unknown)} is no decision")
        if any(decision != "open" for decision in decisions[:-1]):
            return Finding(False, f"{name}: a look follows a decision")
        for column in p:
            if any(later > earlier + 1e-12 for earlier, later in pairwise(own[column])):
                return Finding(False, f"{name}: the sequential {column} rises")
        end = own.row(-1, named=True)
        shown = {"equivalent": "p_equivalence_adjusted", "different": "p_difference_adjusted"}
        if (column := shown.get(end["decision"], "")) and not end[column] < level:
            return Finding(False, f"{name}: {end['decision']} with p = {end[column]:.2g}")
        powers = max(end["power_equivalence"], end["power_difference"])
        if end["decision"] == "hopeless" and not powers < HOPELESS:
            return Finding(False, f"{name}: hopeless with a conditional power of {powers:.2f}")
    stopped = rows.filter(pl.col("decision") != "open")
    n = len(rows.select(_KEY).unique())
    return Finding(True, f"{len(stopped)} of {n} families decided or hopeless", {"families": n})


CHECKS = [texts_follow_the_decisions, decisions_follow_their_numbers]
