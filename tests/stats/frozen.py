"""Results of statsmodels 0.15.0, frozen so that tests do not depend on it.

In an environment with `pip install statsmodels==0.15.0`, with a and b as in `arms`:

    ttost_paired(*arms(n), -margin, margin)[1:]    # statsmodels.stats.weightstats
    multipletests(p, method="holm")[1]             # statsmodels.stats.multitest
"""

import numpy as np


def arms(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two arms on ``n`` prompts, without a generator that might change."""
    i = np.arange(n)
    return np.sin(3 * i) + 0.1, 0.5 * np.cos(2 * i)


#: n, margin, p of the test against the lower margin, p of that against the upper one.
TOST = [
    (2, 0.05, 0.44464160618548737, 0.4809784447691242),
    (2, 0.2, 0.34512630979246256, 0.3753011407321437),
    (2, 3.0, 0.044394634592720035, 0.04511891320420174),
    (5, 0.05, 0.4464766980548771, 0.3278529807179108),
    (5, 0.2, 0.17051491636867702, 0.11468460774566061),
    (5, 3.0, 2.4807738246913926e-05, 2.3097639487236384e-05),
    (20, 0.05, 0.24198817949077245, 0.571316224370915),
    (20, 0.2, 0.07356575308255149, 0.2728069639677084),
    (20, 3.0, 5.677338665040171e-13, 1.5384453678354564e-12),
    (200, 0.05, 0.004212011538073339, 0.8087874233980401),
    (200, 0.2, 1.264101403458692e-07, 0.03643194560658251),
    (200, 3.0, 4.115600387425374e-123, 8.971660160150804e-118),
]

#: p-values, adjusted p-values.
HOLM = [
    ([0.2], [0.2]),
    ([0.0, 1.0], [0.0, 1.0]),
    ([0.01, 0.01, 0.004], [0.02, 0.02, 0.012]),
    ([0.03, 1e-09, 0.7, 0.2, 0.03], [0.12, 5e-09, 0.7, 0.4, 0.12]),
    (
        [0.004, 0.01, 0.7, 1.0, 0.03, 0.2, 0.0, 0.03],
        [0.028, 0.06, 1.0, 1.0, 0.15, 0.6000000000000001, 0.0, 0.15],
    ),
]
