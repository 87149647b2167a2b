"""Stage 9: steered texts."""

from collections.abc import Iterator

import polars as pl

from steer_assets.assets.evidence import _looks
from steer_assets.assets.evidence._texts import Texts
from steer_assets.assets.vectors.vector_families import read_table
from steer_assets.catalog.protocols import CONTROLLED, variants
from steer_assets.pipeline.design import multi_layer, prompt_selection, protocol_sites, thinking
from steer_assets.pipeline.design.arms import arms_by_environment, last_looks
from steer_assets.pipeline.design.site_vectors import made_arms, read_site
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage


def _controlled(run: StageRun) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows of `generations`, of `thinking_sections` and of `look_decisions`."""
    vectors, values = read_table(run)
    steer, n_layers = run.steer_layers(), run.model_facts()["n_layers"]
    prompts = prompt_selection.generation_tests(run.rows("prompt_sets"), run.study)
    texts = Texts(
        run,
        CONTROLLED,
        prompts,
        arms_by_environment(run.study, vectors, steer, n_layers),
        (vectors["vector_id"].to_list(), vectors["layer"].to_list(), values),
        samples=run.study.generation.samples,
        several={m.vector_id: m.parts for m in multi_layer.multi_vectors(run.study, steer)},
    )
    if len(run.study.generation.looks) == 1:
        made, decisions = texts.of(texts.pairs), _looks.no_decisions()
    else:
        named = multi_layer.with_multi_layer(vectors, run.study, steer)
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
    code_version="5",
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

    alpha * vector is added at the last prompt token and at every generated token; arms called
    `multi_layer` add their vectors at all steered blocks, in equal shares of the dose. All arms use
    the same prompts and common random numbers at each position, except under
    `independent_sampling`. `<protocol>-minus-<switch>` names a protocol with one switch off.

    In a study with several looks the texts of the controlled protocol are scored after each, and a
    family that is decided, or hopeless, gets no more of them: `look_decisions`. A text is the same
    as in the study with one look.

    `thinking_sections` tells the section of thinking of a reasoning model from the answer, and why
    a text has none.
    """
    *controlled, decisions = _controlled(run)
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
            **thinking.counted(found),
        },
        metrics={"n_texts": len(frame), "n_tokens": n_tokens},
    )
