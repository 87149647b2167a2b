"""What is found for every text: in one call of this process, or in parts by engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from steer_assets.pipeline.resuming import Pieces, Work, spread, to_engines
from steer_assets.pipeline.stage import StageRun

if TYPE_CHECKING:
    from steer_assets.lm.texts.parts import Part


def found_for_texts(
    run: StageRun,
    work: Work,
    cut: Callable[..., Sequence[Part[Any]]],
    prompts: Sequence[Sequence[int]],
    texts: Sequence[Any],
    *,
    step: str,
    derivatives: bool = False,
    **arguments: Any,
) -> list[Any]:
    """What `work(model, prompts, texts, **arguments)` finds for every text.

    cut: parts of the texts whose results are those of all texts together, to the last bit.
    """
    pieces = Pieces(run.progress(step), len(texts), "texts")
    rows: dict[str, list[int]] = {"all": list(range(len(texts)))}
    calls: dict[str, dict[str, Any]] = {"all": {"prompts": prompts, "texts": texts, **arguments}}
    if to_engines():
        parts = {str(number): part for number, part in enumerate(cut(prompts, texts))}
        rows = {name: part.rows for name, part in parts.items()}
        calls = {
            name: {
                "prompts": part.prompts,
                "texts": part.texts,
                "beside": range(len(part.prompts)),
                **arguments,
            }
            for name, part in parts.items()
        }
    sizes = {name: len(own) for name, own in rows.items()}
    found: list[Any] = [None] * len(texts)
    for name, values in spread(run, work, calls, pieces, sizes, derivatives=derivatives):
        for row, value in zip(rows[name], values, strict=True):
            found[row] = value
    return found
