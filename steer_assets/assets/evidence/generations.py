"""Stage 9: steered texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from steer_assets.assets.evidence import _looks
from steer_assets.assets.evidence._texts import Texts, Together
from steer_assets.assets.vectors.vector_families import read_table
from steer_assets.catalog.protocols import CONTROLLED, variants
from steer_assets.pipeline.design import (
    multi_layer,
    prompt_selection,
    protocol_sites,
    thinking,
    two_traits,
)
from steer_assets.pipeline.design.arms import arms_by_environment, last_looks
from steer_assets.pipeline.design.site_vectors import made_arms, read_site
from steer_assets.pipeline.design.two_traits import TwoTraits
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage


@dataclass
class _Others:
    """v with other traits' vectors: those that are stored, and sentences on those that are not."""

    pairs: list[TwoTraits] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, run: StageRun) -> _Others:
        found, sha256 = cls(), run.model_facts()["sha256"]
        for pair in two_traits.declared(run.study, run.trait, run.steer_layers()):
            try:
                values = two_traits.other_vector(run.layout, run.model, sha256, pair)
            except two_traits.NoOtherVectorError as error:
                found.missing.append(f"left out, v with that of {pair.trait}: {error}")
                continue
            found.pairs.append(pair)
            found.values.append(values)
        return found


def _controlled(run: StageRun, others: _Others) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows of `generations`, of `thinking_sections` and of `look_decisions`."""
    vectors, values = read_table(run)
    steer, n_layers = run.steer_layers(), run.model_facts()["n_layers"]
    prompts = prompt_selection.generation_tests(run.rows("prompt_sets"), run.study)
    blocks = multi_layer.multi_vectors(run.study, steer)
    several = {m.vector_id: Together(m.parts, len(m.parts)) for m in blocks}
    several |= {pair.vector_id: Together(pair.parts) for pair in others.pairs}
    texts = Texts(
        run,
        CONTROLLED,
        prompts,
        arms_by_environment(run.study, vectors, steer, n_layers, others.pairs),
        (
            [*vectors["vector_id"], *(pair.other_id for pair in others.pairs)],
            [*vectors["layer"], *(pair.layer for pair in others.pairs)],
            np.concatenate([values, *(own[None] for own in others.values)]),
        ),
        samples=run.study.generation.samples,
        several=several,
    )
    if len(run.study.generation.looks) == 1:
        made, decisions = texts.of(texts.pairs), _looks.no_decisions()
    else:
        named = multi_layer.with_multi_layer(vectors, run.study, steer)
        named = two_traits.with_two_traits(named, run.study, run.trait, steer)
        last = last_looks(run.study, vectors, steer, n_layers)
        made, decisions = _looks.in_looks(run, texts, prompts, named, last)
    return made, thinking.sections(run.language_model(), prompts, made), decisions


def _switched(run: StageRun) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Texts of every protocol with switches, and of each with one generation switch off.

    Rows of `generations` and of `thinking_sections`.
    """
    settings = run.study.protocol_texts
    if settings is None:
        return
    prompts = prompt_selection.protocol_tests(run.rows("prompt_sets"), run.study)
    layers = protocol_sites.layers(run.study, run.model_facts()["n_layers"])
    for protocol in run.study.switched_protocols:
        for name, on in variants(protocol).items():
            by_layer = {layer: made_arms(run, protocol, name, layer) for layer in layers}
            blocks = {arm.vector_id: layer for layer, arms in by_layer.items() for arm in arms}
            everywhere = protocol_sites.with_unsteered(
                arm for arms in by_layer.values() for arm in arms
            )
            values = read_site(run, protocol_sites.site_of(on), list(blocks))
            templated = "no_chat_template" not in on
            texts = Texts(
                run,
                name,
                prompts,
                dict.fromkeys(prompts["environment"].unique(), everywhere),
                (list(blocks), list(blocks.values()), values),
                samples=settings.samples,
                chat_template=templated,
                independent="independent_sampling" in on,
            )
            made = texts.of(texts.pairs)
            yield (
                made,
                thinking.sections(run.language_model(), prompts, made, chat_template=templated),
            )


@stage(
    dimensions=("model", "trait"),
    group="evidence",
    kinds={"pytorch", "duckdb"},
    code_version="6",
    needs=("model_snapshot", "prompt_sets", "vector_families", "protocol_vectors"),
    settings=(
        "seed",
        "numerics",
        "layers.steer",
        "prompts.test",
        "generation",
        "protocols",
        "protocol_texts",
        "behaviour.steered_alpha",
        "vectors",
    ),
    sources=_looks.sources,
)
def generations(run: StageRun) -> Produced:
    """Sampled texts of every arm and protocol, without their prompts.

    alpha * vector is added at the positions of `generation.scope`, usually the last prompt token
    and every generated token; arms called `multi_layer` add their vectors at all steered blocks, in
    equal shares of the dose; arms called `two_traits` add v of another trait to v, and are left
    out, with a sentence, while it is not stored. All arms use the same prompts and common random
    numbers at each position, except under `independent_sampling`. `<protocol>-minus-<switch>` names
    a protocol with one switch off.

    In a study with several looks the texts of the controlled protocol are scored after each, and a
    family that is decided, or hopeless, gets no more of them: `look_decisions`. A text is the same
    as in the study with one look.

    `thinking_sections` tells the section of thinking of a reasoning model from the answer, and why
    a text has none.
    """
    others = _Others.of(run)
    for sentence in others.missing:
        run.log.warning(sentence)
    *controlled, decisions = _controlled(run, others)
    parts, of_thinking = zip(controlled, *_switched(run), strict=True)
    found = pl.concat(of_thinking)
    frame = pl.concat(parts)
    counts = {f"texts of {part.item(0, 'protocol')}": len(part) for part in parts}
    n_tokens = frame["n_tokens"].to_numpy().sum().item()
    return Produced(
        rows=[
            Rows("generations", frame),
            Rows(thinking.TABLE, found),
            Rows("look_decisions", decisions),
        ],
        metadata={
            **counts,
            "tokens": n_tokens,
            **_looks.counted(decisions),
            **({"left out": "; ".join(others.missing)} if others.missing else {}),
            **thinking.counted(found),
        },
        metrics={"n_texts": len(frame), "n_tokens": n_tokens},
    )
