import numpy as np
import pytest

from steer_assets.stats.verdicts import equivalence, joint_power
from tests.sizes import simulated
from tests.stats.simulate import error


@pytest.mark.parametrize(("k", "n", "sd"), [(2, 36, 0.4), (5, 36, 0.3)])
def test_power_of_a_claim_on_all_seeds_is_what_simulation_gives(k: int, n: int, sd: float):
    rng = np.random.default_rng([k, n])

    def study(size: int) -> tuple[np.ndarray, np.ndarray]:
        common, own = rng.normal(size=(size, 1)), rng.normal(size=(size, k))
        return sd * np.sqrt(0.5) * (common + own), 0.2 + 0.1 * rng.normal(size=size)

    shown, studies = 0, simulated(1200)
    for _ in range(studies):
        d, c = study(n)
        shown += all(equivalence.tost(x, c, skewness_guard=True).p < 0.05 for x in d.T)
    found = joint_power.design(*study(100_000))
    assert joint_power.power(found, n=n) == pytest.approx(
        shown / studies, abs=max(0.04, error(0.5, studies))
    )
    assert joint_power.power(found, n=joint_power.sample_size(found)) >= 0.8
