from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from steer_assets.lm.errors import InterventionError, PrecisionError
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.measurements.derivatives import prompt_forms
from steer_assets.lm.measurements.unembedding import Unembedding
from tests.sizes import in_full

from . import reference
from .conftest import HIDDEN, LAYERS, build, cached_build

PROBED = [0, 2]
# Below, at and above the layers differentiated.
ARM = (Addition(0, 0, 0.4), Addition(2, 1, -0.3), Addition(3, 2, 0.5))


def _logits_of_state(lm, prompt, arm, vectors, layer):
    """z as a function of h_layer at the last token, and the state itself (after the addition)."""
    _, outputs = reference.forward(lm, prompt, arm, vectors, len(prompt) - 1)
    above = tuple(addition for addition in arm if addition.layer > layer)

    def logits(state):
        def hook(_module, _args, output):
            hidden = output if isinstance(output, torch.Tensor) else output[0]
            hidden = torch.cat([hidden[:, :-1], state[None, None]], dim=1)
            return hidden if isinstance(output, torch.Tensor) else (hidden, *output[1:])

        def add(addition):
            def hook(_module, _args, output):
                hidden = output if isinstance(output, torch.Tensor) else output[0]
                step = torch.zeros_like(hidden)
                step[:, -1] = torch.from_numpy(addition.alpha * vectors[addition.vector])
                changed = hidden + step
                return changed if isinstance(output, torch.Tensor) else (changed, *output[1:])

            return hook

        blocks = lm.layout.blocks
        handles = [blocks[layer].register_forward_hook(hook)]
        handles += [blocks[a.layer].register_forward_hook(add(a)) for a in above]
        try:
            return lm.model(input_ids=torch.tensor([prompt]), use_cache=False).logits[0, -1]
        finally:
            for handle in handles:
                handle.remove()

    return logits, outputs[layer][-1].clone()


def _direct(lm, prompt, arm, vectors, layer):
    """J'J and J'(diag p - pp')J from the whole V x d Jacobian and V x V middle."""
    function, state = _logits_of_state(lm, prompt, arm, vectors, layer)
    jacobian = torch.autograd.functional.jacobian(function, state, vectorize=True).double()
    p = torch.softmax(function(state).double(), 0)
    middle = torch.diag(p) - torch.outer(p, p)
    return (jacobian.T @ jacobian).numpy(), (jacobian.T @ middle @ jacobian).numpy()


def _relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def _kl(log_p, log_q):
    """KL(p || q) with all terms of one sign: sum of p (e^x - 1 - x), x = log q - log p."""
    x = log_q - log_p
    return float(np.sum(np.exp(log_p) * (np.expm1(x) - x)))


@pytest.mark.parametrize("arm", [in_full(()), ARM], ids=["unsteered", "steered"])
def test_forms_equal_the_direct_formula_in_float64(heads_double, prompts, vectors, arm):
    chosen = [prompts[2], [7]]
    found = list(prompt_forms(heads_double, chosen, PROBED, arm=arm, vectors=vectors))
    assert [forms.prompt for forms in found] == [0, 1]
    for forms, prompt in zip(found, chosen, strict=True):
        for layer in PROBED:
            gram, fisher = _direct(heads_double, prompt, arm, vectors, layer)
            assert forms.jacobian_gram[layer].dtype == np.float64
            assert _relative(forms.jacobian_gram[layer], gram) < 1e-9
            assert _relative(forms.fisher[layer], fisher) < 1e-9


def test_float32_is_within_1e_5_of_float64(few, request, prompts):
    name = request.node.callspec.params["few"]
    exact = cached_build(name, double=True)
    exact.model.load_state_dict(few.model.state_dict())
    (found,) = prompt_forms(few, prompts[:1], [1])
    with reference.AllDouble():
        (expected,) = prompt_forms(exact, prompts[:1], [1])
    assert _relative(found.jacobian_gram[1], expected.jacobian_gram[1]) < 1e-5
    assert _relative(found.fisher[1], expected.fisher[1]) < 1e-5


def test_the_gram_equals_central_differences(heads_double, prompts, vectors):
    (forms,) = prompt_forms(heads_double, prompts[:1], [1], arm=ARM, vectors=vectors)
    function, state = _logits_of_state(heads_double, prompts[0], ARM, vectors, 1)
    direction = torch.from_numpy(np.random.default_rng(5).normal(size=HIDDEN))
    expected = float(direction.numpy() @ forms.jacobian_gram[1] @ direction.numpy())
    errors = []
    for step in (1e-3, 1e-4):
        with torch.no_grad():
            change = function(state + step * direction) - function(state - step * direction)
        errors.append(abs(float((change / (2 * step)).square().sum()) / expected - 1))
    assert errors[1] < 1e-6
    assert errors[1] < 0.05 * errors[0] + 1e-9  # second order in the step


def test_predicted_kl_tends_to_the_measured_one(heads_double, prompts, vectors):
    (forms,) = prompt_forms(heads_double, prompts[:1], [2])
    direction = vectors[0] / np.linalg.norm(vectors[0])
    errors = []
    for step in (0.3, 0.03, 0.003):
        e = step * direction
        z = reference.last_logits(heads_double, prompts[0], (), vectors)
        moved = reference.last_logits(heads_double, prompts[0], (Addition(2, 0, 1.0),), e[None])
        log_p, log_q = (x - np.logaddexp.reduce(x) for x in (z, moved))
        kl = _kl(log_p, log_q)
        errors.append(abs(0.5 * e @ forms.fisher[2] @ e / kl - 1))
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.01


def test_forms_are_symmetric_and_positive(few, prompts):
    (forms,) = prompt_forms(few, prompts[:1], [0])
    for form in (forms.jacobian_gram[0], forms.fisher[0]):
        assert np.array_equal(form, form.T)
        values = np.linalg.eigvalsh(form)
        assert values[0] > -1e-5 * values[-1]


def test_every_layer_and_chunk_size_agrees(llama, prompts):
    (whole,) = prompt_forms(llama, prompts[:1], list(range(LAYERS)))
    for layer in range(LAYERS):
        (alone,) = prompt_forms(llama, prompts[:1], [layer], row_chunk=5)
        assert _relative(alone.fisher[layer], whole.fisher[layer]) < 1e-5
        assert _relative(alone.jacobian_gram[layer], whole.jacobian_gram[layer]) < 1e-5


def test_an_arm_moves_the_point(llama, prompts, vectors):
    (plain,) = prompt_forms(llama, prompts[:1], [2])
    (steered,) = prompt_forms(llama, prompts[:1], [2], arm=ARM, vectors=vectors)
    assert _relative(steered.fisher[2], plain.fisher[2]) > 1e-2


def test_half_precision_is_refused(prompts):
    half = build("llama")
    half.__init__(half.model.to(torch.bfloat16), half.tokenizer)
    with pytest.raises(PrecisionError, match="bfloat16"):
        next(prompt_forms(half, prompts, [0]))


def test_a_layer_out_of_range_is_refused(llama, prompts):
    with pytest.raises(InterventionError, match="layer 4 is out of range: the model has 4"):
        next(prompt_forms(llama, prompts, [4]))


def test_progress_counts_prompts(llama, prompts):
    seen = []
    list(prompt_forms(llama, prompts[:2], [1], on_progress=seen.append))
    assert [(report.done, report.total) for report in seen] == [(1, 2), (2, 2)]


def _exact_fisher(weight, logits):
    """sum over pairs of p_i p_j (w_i - w_j)(w_i - w_j)' in rationals: every term is positive."""
    odds = [Fraction(float(np.exp(z - logits.max()))) for z in logits]
    p = [o / sum(odds) for o in odds]
    rows = [[Fraction(float(x)) for x in row] for row in weight]
    d = len(rows[0])
    form = [[Fraction(0)] * d for _ in range(d)]
    for (p_i, a), (p_j, b) in combinations(zip(p, rows, strict=True), 2):
        step = [x - y for x, y in zip(a, b, strict=True)]
        for row, column in product(range(d), repeat=2):
            form[row][column] += p_i * p_j * step[row] * step[column]
    return np.array([[float(x) for x in row] for row in form])


@pytest.mark.parametrize("gap", [0.0, 5.0, 23.0, 40.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_fisher_form_is_exact_however_peaked_the_distribution(gap, dtype):
    # A gap of 23 nats leaves the likeliest token all but 1e-9 of the probability.
    size, vocabulary = 4, 12
    rng = np.random.default_rng(6)
    weight = torch.from_numpy(3.0 + rng.normal(size=(vocabulary, size))).to(dtype)
    logits = torch.from_numpy(np.append(gap, rng.normal(scale=0.3, size=vocabulary - 1)))
    lm = SimpleNamespace(layout=SimpleNamespace(head=SimpleNamespace(weight=weight)))
    found = Unembedding(lm).forms(logits, torch.ones(vocabulary, dtype=torch.float64))[1].numpy()
    expected = _exact_fisher(weight.double().numpy(), logits.numpy())
    assert _relative(found, expected) < (1e-6 if dtype == torch.float32 else 1e-14)
