"""Next-token distributions around v as each protocol compares them: v + v_perp and a control.

The published test compares v + v_perp with a vector that replaces v and finds the logits of v +
v_perp closer to those of v; but a replacement of v lies sqrt 2 times as far from v as v + v_perp
does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from steer_assets.assets.protocols._measured import Measured
from steer_assets.geometry.vector_ids import base_id
from steer_assets.pipeline.design import prompt_selection, protocol_sites, random_streams, scopes
from steer_assets.pipeline.design.protocol_settings import Setting
from steer_assets.pipeline.design.protocol_sites import MATCHED, UNMATCHED, Site, site_of
from steer_assets.pipeline.design.site_vectors import NotMadeError, read_site
from steer_assets.pipeline.stage import StageRun
from steer_assets.stats.intervals.stratified import Arms, estimate
from steer_assets.stats.validation import Estimate


@dataclass(frozen=True, slots=True)
class Distances:
    """Distances from v of the next-token distributions of one site and one length of v + v_perp.

    to_nothing [prompts], to_perp [prompts, seeds]: KL in nats to unsteered and to v + v_perp. The
    other fields are Euclidean distances of logits [prompts, seeds]: to v + v_perp; to v_perp in
    place of v, as published (`replaced`); and along that same step at the length of v + v_perp's
    own (`same`). reach: that length as a share of the published one, mean over seeds: 1 / sqrt 2
    where v + v_perp is not rescaled.
    """

    to_nothing: np.ndarray
    to_perp: np.ndarray
    moved: np.ndarray
    replaced: np.ndarray
    same: np.ndarray
    reach: float


#: By (site, whether v + v_perp is rescaled to the length of v); the reason where there are none.
Divergences = dict[tuple[Site, bool], Distances | str]


def control_steps(steps: np.ndarray, replaced: np.ndarray) -> tuple[np.ndarray, float]:
    """Steps [seeds, d] of the control at the lengths of `steps`, and the mean ratio of lengths.

    steps: from v to v + v_perp; replaced: from v to a vector in place of v [seeds, d].
    """
    reach = np.linalg.norm(steps, axis=1) / np.linalg.norm(replaced, axis=1)
    return reach[:, None] * replaced, float(reach.mean())


def divergences(run: StageRun, layer: int) -> Divergences:
    """Distances of next-token distributions from that of v at every site, at least in float32."""
    found: Divergences = {}
    if why := scopes.next_token_unmoved(run.study):
        every = protocol_sites.sites(run.study)
        return {(site, matched): why for site in every for matched in (False, True)}
    for site in protocol_sites.sites(run.study):
        try:
            own = _at_site(run, layer, site)
        except NotMadeError as error:
            found |= dict.fromkeys([(site, False), (site, True)], str(error))
            continue
        found |= {(site, matched): one for matched, one in own.items()}
    return found


def _at_site(run: StageRun, layer: int, site: Site) -> dict[bool, Distances]:
    """Distances by whether v + v_perp is rescaled.

    Raises:
        NotMadeError: there is no v at the site.
    """
    (v,), *lengths = (
        read_site(run, site, ids)
        for ids in (
            [base_id(layer)],
            protocol_sites.orthogonal_ids(run.study, UNMATCHED, layer),
            protocol_sites.orthogonal_ids(run.study, MATCHED, layer),
        )
    )
    # v_perp in place of v: a random vector of v's length, at the typical distance of such vectors.
    replaced = lengths[0] - v - v
    controls = [control_steps(moved - v, replaced) for moved in lengths]
    arms = [v[None], *lengths, v + replaced, *(v + same for same, _ in controls)]
    kl, l2 = _measured(run, layer, site, np.concatenate(arms))
    n = len(replaced)
    blocks = [slice(2 + i * n, 2 + (i + 1) * n) for i in range(5)]
    return {
        matched: Distances(
            kl[:, 0],
            kl[:, blocks[matched]],
            l2[:, blocks[matched]],
            l2[:, blocks[2]],
            l2[:, blocks[3 + matched]],
            controls[matched][1],
        )
        for matched in (False, True)
    }


def _measured(
    run: StageRun, layer: int, site: Site, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """KL and Euclidean distance [prompts, 1 + n] of unsteered and of n vectors from the first."""
    from steer_assets.geometry.kl import distances
    from steer_assets.lm.forward.intervene import Addition
    from steer_assets.lm.measurements.logits import next_token_logits

    model = run.derivative_model()
    prompts = prompt_selection.protocol_tests(run.rows("prompt_sets"), run.study)
    dose = protocol_sites.headline_dose(run.study)
    arms = [(), *((Addition(layer, row, dose),) for row in range(len(vectors)))]
    ids = prompt_selection.encoded(model, prompts, chat_template=not site.raw)
    report = run.progress(f"logits {site.name}")
    kl, l2 = np.empty((2, len(ids), len(arms)))
    scope = scopes.scope_of(run, model)
    found = next_token_logits(model, ids, arms, vectors, scope=scope, on_progress=report)
    for prompt, logits in found:
        columns = distances(logits, logits[1])
        kl[prompt], l2[prompt] = columns["kl"], columns["l2"]
    return kl, l2


def _of_setting(found: Divergences, setting: Setting) -> Distances | str:
    return found[site_of(setting.on), "unmatched_norm" not in setting.on]


def kl_share(run: StageRun, found: Divergences, setting: Setting) -> Measured:
    """KL from v to v + v_perp over KL from v to the unsteered model."""
    own = _of_setting(found, setting)
    if isinstance(own, str):
        return Measured(None, 0.0, 0, own)
    return _ratio(run, own.to_perp, own.to_nothing[:, None], "logit equivalence")


def reduction(run: StageRun, found: Divergences, setting: Setting) -> Measured:
    """1 - (distance of logits to v + v_perp) / (to the control), with its purely geometric value.

    As published the control is a vector in place of v, so its step from v is sqrt 2 times as long:
    in an isotropic model, whose logits respond equally to every direction, the distance to v +
    v_perp is smaller by 1 - 1 / sqrt 2 = 29.3 %. In the controlled setting both steps have the same
    length and the geometric value is 0.
    """
    own = _of_setting(found, setting)
    if isinstance(own, str):
        return Measured(None, None, 0, own)
    replaced = "replaced_control" in setting.on
    ratio = _ratio(run, own.moved, own.replaced if replaced else own.same, "logit control")
    number = ratio.number and Estimate(
        1 - ratio.number.value, 1 - ratio.number.high, 1 - ratio.number.low
    )
    by_length = 1 - own.reach if replaced else 0.0
    return replace(ratio, number=number, by_itself=by_length)


def _ratio(run: StageRun, above: np.ndarray, below: np.ndarray, purpose: str) -> Measured:
    """Ratio of the means over prompts and seeds, paired by prompt; `by_itself` is 0."""

    def share(arms: list[np.ndarray]) -> np.ndarray:
        return np.asarray(arms[0].mean(axis=(1, 2)) / arms[1].mean(axis=(1, 2)))

    statistics, n = run.study.statistics, len(above)
    if n < 2:
        return Measured(None, 0.0, n, f"an interval over prompts needs 2 prompts or more, not {n}")
    try:
        number = estimate(
            [Arms([above, below])],
            share,  # type: ignore[arg-type]
            clustered=True,
            level=statistics.confidence,
            n_boot=statistics.n_boot,
            rng=random_streams.generator(run.study, purpose, run.model, run.trait),
        )
    except ValueError as error:
        return Measured(None, 0.0, n, str(error))
    return Measured(number, 0.0, n)
