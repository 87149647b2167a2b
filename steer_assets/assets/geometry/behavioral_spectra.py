"""Stage 6: sensitivity of the output to the residual stream."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.geometry._null_space_rows import null_space_rows
from steer_assets.assets.geometry._prompt_forms import forms_of_prompts
from steer_assets.assets.geometry._stability_rows import Row, dimension_rows
from steer_assets.assets.geometry.activation_caches import pair_activations, read_activations
from steer_assets.pipeline.design import prompt_selection, scopes
from steer_assets.pipeline.resuming import Pieces
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.files.hdf5 import read_array, write_arrays

if TYPE_CHECKING:
    from steer_assets.lm.forward.intervene import Arm

KINDS = ("jacobian", "fisher")
#: Forms [n, d, d], one per prompt, by kind, point and layer.
Forms = dict[tuple[str, str, int], list[np.ndarray]]


def read_form(run: StageRun, kind: str, at: str, layer: int) -> np.ndarray:
    """The averaged form [d, d] of one kind and point."""
    path = run.layout.pair_file("bases", run.model, run.trait, ".behaviour.h5")
    return read_array(path, f"form/{kind}/{at}/{layer}")


def _forms(run: StageRun) -> Forms:
    """Jacobian Gram and Fisher pullback per prompt: unsteered, and steered at steered layers."""
    from steer_assets.geometry.directions import base
    from steer_assets.lm.forward.intervene import Addition
    from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED

    model = run.derivative_model()
    # The next token is that after the last prompt token, whatever the scope adds later on.
    unmoved = scopes.next_token_unmoved(run.study)
    scope = LAST_PROMPT_AND_GENERATED if unmoved else scopes.scope_of(run, model)
    tests = prompt_selection.generation_tests(run.rows("prompt_sets"), run.study)
    chosen = prompt_selection.spread_over_environments(tests, run.study.behaviour.prompts)
    ids = prompt_selection.encoded(model, chosen)
    forms: Forms = defaultdict(list)

    def collect(at: str, layers: list[int], arm: Arm, vectors: np.ndarray | None) -> None:
        pieces = Pieces(run.progress(f"{at} {layers}"), len(ids), "prompts")
        names = [f"{at}-{'-'.join(map(str, layers))}-{prompt}" for prompt in range(len(ids))]
        stored = {name: run.shards.arrays(name) for name in names}
        missing = {n: ids[i] for i, n in enumerate(names) if stored[n] is None}
        pieces.finished(len(ids) - len(missing))
        for name, form in forms_of_prompts(
            run, missing, layers, pieces, scope=scope, arm=arm, vectors=vectors
        ):
            made = {f"jacobian/{layer}": form.jacobian_gram[layer] for layer in layers}
            made |= {f"fisher/{layer}": form.fisher[layer] for layer in layers}
            run.shards.put_arrays(name, made)
            stored[name] = made
        for piece in stored.values():
            assert piece is not None
            for layer in layers:
                for kind in KINDS:
                    forms[kind, at, layer].append(piece[f"{kind}/{layer}"])

    collect("unsteered", run.all_layers(), (), None)
    for layer in run.steer_layers():
        v = base(*pair_activations(*read_activations(run, layer), "contrast"))
        arm = (Addition(layer, 0, run.dose_at(layer)),)
        collect("steered", [layer], arm, v[None])
    return forms


@stage(
    dimensions=("model", "trait"),
    group="geometry",
    kinds={"pytorch", "hdf5", "duckdb"},
    code_version="4",
    needs=("model_snapshot", "prompt_sets", "activation_caches"),
    after=("steering_calibration",),
    settings=("numerics", "layers", "prompts.test", "behaviour"),
    sources=scopes.sources,
)
def behavioral_spectra(run: StageRun) -> Produced:
    """Exact Jacobian Gram J'J and Fisher pullback J'(diag p - pp')J, averaged over prompts.

    J = dz/dh at the last prompt token, by automatic differentiation. Directions with small singular
    values do not change the next-token distribution; they span the behavioural null space, in
    contrast to the covariance null space (directions in which activations do not vary). An average
    over few prompts also has a forced null fraction: its floor follows from the ranks of the
    prompts' own forms (Ky Fan), and `effective_dimension` has rank and floor of the average as a
    function of the number of prompts. HDF5 datasets `form/<kind>/<point>/<layer>` are [d, d]; the
    steered point has v added at the layer. Under `all_prompt_and_generated` J is by a step at every
    prompt token, as arms are added; under every other scope by one at the last.
    """
    from steer_assets.geometry.null_spaces import floors, heldout, saturation
    from steer_assets.geometry.null_spaces.spectra import form_spectrum

    forms = _forms(run)
    arrays: dict[str, np.ndarray] = {}
    spectra_rows: list[pl.DataFrame] = []
    space_rows: dict[str, list[Row]] = {kind: [] for kind in KINDS}
    dimensions: dict[str, list[Row]] = {kind: [] for kind in KINDS}
    for (kind, at, layer), per_prompt in forms.items():
        stacked = np.stack(per_prompt)
        mean = stacked.mean(axis=0)
        spectrum = form_spectrum(mean, len(stacked))
        arrays[f"form/{kind}/{at}/{layer}"] = mean
        spectra_rows.append(
            pl.DataFrame(
                {
                    "layer": layer,
                    "kind": kind,
                    "at": at,
                    "n_prompts": len(stacked),
                    "index": np.arange(spectrum.ambient_dim),
                    "singular_value": spectrum.singular_values,
                }
            )
        )
        parts = [floors.form_eigenvalues(form) for form in stacked]
        space_rows[kind] += null_space_rows(
            spectrum,
            heldout.form_energies(stacked) if len(stacked) > 1 else {},
            floors=floors.part_floors(parts, spectrum.ambient_dim),
            layer=layer,
            environment="pooled",
            at=at,
        )
        if at == "unsteered":
            sizes = saturation.doubling_sizes(len(stacked), smallest=1)
            dimensions[kind] += dimension_rows(layer, saturation.form_curve(stacked, sizes))
    path = run.layout.pair_file("bases", run.model, run.trait, ".behaviour.h5")
    content = write_arrays(path, arrays)
    return Produced(
        rows=[
            Rows("behavioral_spectra", pl.concat(spectra_rows)),
            *(
                Rows(
                    "null_spaces",
                    pl.DataFrame(space_rows[k], infer_schema_length=None),
                    {"kind": k},
                )
                for k in KINDS
            ),
            *(
                Rows(
                    "effective_dimension",
                    pl.DataFrame(dimensions[k], infer_schema_length=None),
                    {"kind": k},
                )
                for k in KINDS
            ),
        ],
        files={run.layout.relative(path): content},
        metadata={"prompts": len(next(iter(forms.values()))), "forms": len(arrays)},
    )
