from __future__ import annotations

import numpy as np
import pytest

from steer_assets.lm.errors import InterventionError
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.measurements.logits import next_token_logits
from steer_assets.lm.measurements.prepared import PreparedPrompts

from . import reference

# Several layers, several vectors at one layer, the last block, and the unsteered model.
ARMS = [
    (Addition(2, 0, 1.0),),
    (),
    (Addition(0, 1, -1.0), Addition(3, 2, 0.5)),
    (Addition(2, 3, 0.3), Addition(2, 4, -0.7)),
    (Addition(3, 0, 2.0),),
    (Addition(0, 2, 1.0),),
]
TOLERANCE = 1e-4


def _logits(lm, prompts, vectors, **options):
    found = list(next_token_logits(lm, prompts, ARMS, vectors, **options))
    assert [index for index, _ in found] == list(range(len(prompts)))
    return np.stack([logits for _, logits in found])


def _expected(lm, prompts, vectors):
    return np.array([[reference.last_logits(lm, p, arm, vectors) for arm in ARMS] for p in prompts])


def test_sharing_a_prefix_equals_the_plain_forward(tiny, prompts, vectors):
    # A one-token prompt has no prefix at all.
    mixed = [*prompts, [7]]
    found = _logits(tiny, mixed, vectors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _expected(tiny, mixed, vectors), atol=TOLERANCE)


def test_rows_with_their_own_prefix_equal_the_plain_forward(few, prompts, vectors, monkeypatch):
    monkeypatch.setattr(few, "_way", "states", raising=False)
    mixed = [*prompts, [7]]
    found = _logits(few, mixed, vectors)
    np.testing.assert_allclose(found, _expected(few, mixed, vectors), atol=TOLERANCE)


@pytest.mark.parametrize("batch_rows", [1, 3, 8, 64])
def test_batches_do_not_matter(llama, prompts, vectors, batch_rows):
    found = _logits(llama, prompts, vectors, batch_rows=batch_rows, batch_tokens=20)
    np.testing.assert_allclose(found, _logits(llama, prompts, vectors), atol=TOLERANCE)


def test_the_same_call_gives_the_same_bytes(llama, prompts, vectors):
    assert _logits(llama, prompts, vectors).tobytes() == _logits(llama, prompts, vectors).tobytes()


def test_equal_prompts_and_single_tokens(llama, vectors):
    same = [[4], [4], [4]]
    np.testing.assert_allclose(
        _logits(llama, same, vectors), _expected(llama, same, vectors), atol=TOLERANCE
    )


def test_progress_counts_prompts(llama, prompts, vectors):
    seen = []
    list(next_token_logits(llama, prompts, ARMS, vectors, on_progress=seen.append))
    assert [report.done for report in seen] == [1, 2, 3, 4, 5]
    assert {report.total for report in seen} == {5}
    assert seen[-1].tokens_per_second > 0


SINGLE = [
    (Addition(2, 0, 1.0),),
    (Addition(2, 3, 0.3), Addition(2, 4, -0.7)),
    (Addition(0, 2, 1.0),),
]


def test_prompts_that_were_run_before_give_the_same_however_often(few, prompts, vectors):
    mixed = [*prompts, [7]]
    expected = np.stack([v for _, v in next_token_logits(few, mixed, [(), *SINGLE], vectors)])
    prepared = PreparedPrompts(few, mixed, [0, 2], batch_tokens=20, batch_rows=3)
    np.testing.assert_allclose(prepared.unsteered, expected[:, 0], atol=TOLERANCE)
    for _ in range(2):
        found = {(p, arm): logits for p, arm, logits in prepared.steered(SINGLE, vectors)}
        assert len(found) == len(mixed) * len(SINGLE)
        for (prompt, arm), logits in found.items():
            np.testing.assert_allclose(logits, expected[prompt, arm + 1], atol=TOLERANCE)


def test_an_arm_that_was_not_prepared_for_is_refused(llama, prompts, vectors):
    prepared = PreparedPrompts(llama, prompts, [1])
    for arm in ((), (Addition(2, 0, 1.0),), (Addition(1, 0, 1.0), Addition(2, 0, 1.0))):
        with pytest.raises(InterventionError, match="prepared for one of"):
            list(prepared.steered([arm], vectors))
