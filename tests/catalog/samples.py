"""A small trait, as text whose lines tests can name, and how they change it."""

TRAIT = """\
trait: brevity
title: Brevity
description: Short answers against long ones.
poles: {positive: short, negative: long}
contrast:
  positive_template: "Be brief. {context}"
  negative_template: "Be long. {context}"
  contexts:
    - Describe a tree.
    - Describe a river.
    - Describe a hill.
test:
  in_distribution:
    - Explain rain.
    - Explain snow.
  topic_shift:
    - Explain inflation.
"""

MODEL = """\
model: mine
title: My own
source:
  kind: folder
  location: /weights/mine
"""

STUDY = """\
study: mine
title: My own
seed: 7
layers: {steer: [L/2, 2L/3], geometry: [L/2]}
prompts:
  contrast_pairs: 12
  test: {in_distribution: 5, topic_shift: 1, genre_shift: 1, safety_style: 1}
spectra:
  estimator: {covariance: variance_99, jacobian: variance_95, fisher: stable_rank}
behaviour: {prompts: 2}
vectors:
  families:
    - base
    - logistic
    - base_plus_orthogonal
  subspace_sizes: [1, 5]
logits: {prompts: 2, alphas: [1.0]}
generation:
  samples: 2
  max_new_tokens: 6
  temperature: 0.8
  arms:
    - families: [base]
    - families: [base, logistic]
      alphas: [0.5, 2.0]
scoring: {scorers: [minilm]}
statistics: {margin_sd: 0.3, confidence: 0.95}
"""


def change(text: str, old: str, new: str) -> str:
    """`text` with `old`, which occurs once, replaced by `new`."""
    assert text.count(old) == 1, old
    return text.replace(old, new)
