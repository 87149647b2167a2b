"""The time left that a long stage reports."""

import pytest

from steer_assets.pipeline.resuming import Pieces
from steer_assets.resources import progress
from steer_assets.resources.progress import Reporter, StageProgress, listening


def test_what_an_earlier_run_did_tells_nothing_of_the_speed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    seen: list[StageProgress] = []
    with listening(seen.append):  # type: ignore[arg-type]
        pieces = Pieces(Reporter("generations", "m|t", "decoding"), 100, "texts")
        pieces.finished(60)
        listener = pieces.piece(40)
        now = 110.0
        listener(StageProgress("", "", "", 10, 40, "tokens", 5.0, None))
    assert [report.done for report in seen] == [60, 70]
    assert seen[0].seconds_left is None
    assert seen[1].seconds_left == pytest.approx(30.0)  # ten in ten seconds, thirty to go
