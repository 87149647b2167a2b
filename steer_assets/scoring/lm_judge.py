"""The ``lm_judge`` scorer: log-odds of "yes" under a language model.

The text is inserted into a question about each pole, and the score is computed from the next-token
logits z,

    odds(question) = log sum_{t in yes} exp z_t - log sum_{t in no} exp z_t,
    score = odds(positive question) - odds(negative question),

as verbalisers are in Schick & Schuetze, "Exploiting Cloze Questions for Few-Shot Text
Classification" (EACL 2021). The second question removes the model's bias towards yes or no.

The language model is passed as a function, so that the scorer does not depend on an implementation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from steer_assets.scoring.scorer import readable

NextTokenLogits = Callable[[list[str]], np.ndarray]
PLACEHOLDER = "{text}"


@dataclass(frozen=True)
class LMJudge:
    """Yes/no log-odds; a ``Scorer``.

    Attributes:
        next_token_logits: given prompts, the logits [n, V] of the token after each.
        yes: token ids that count as a yes ("Yes", " yes", ...).
        no: token ids that count as a no.
        positive_question: prompt with ``{text}`` once; yes for texts of the positive pole.
        negative_question: the same for the negative pole.
        batch_size: number of prompts per call.
    """

    name: str
    next_token_logits: NextTokenLogits
    yes: tuple[int, ...]
    no: tuple[int, ...]
    positive_question: str
    negative_question: str
    batch_size: int = 16

    def __post_init__(self) -> None:
        if not self.yes or not self.no:
            raise ValueError(f"{self.name}: {len(self.yes)} yes and {len(self.no)} no tokens")
        if shared := sorted(set(self.yes) & set(self.no)):
            raise ValueError(f"{self.name}: token {shared[0]} is both yes and no")
        for question in (self.positive_question, self.negative_question):
            if question.count(PLACEHOLDER) != 1:
                raise ValueError(f"{self.name}: {question!r} needs {PLACEHOLDER} exactly once")
        if self.batch_size < 1:
            raise ValueError(f"{self.name}: batch_size is {self.batch_size}")

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Scores in input order, float64.

        Raises:
            ValueError: if the number of rows of logits differs from that of prompts, a token's
                column is missing, or values there are not finite.
        """
        positive = self._odds(self.positive_question, texts)
        return np.asarray(positive - self._odds(self.negative_question, texts))

    def _odds(self, question: str, texts: Sequence[str]) -> np.ndarray:
        odds = np.empty(len(texts))
        for start in range(0, len(texts), self.batch_size):
            batch = texts[start : start + self.batch_size]
            # Not str.format, because texts may contain braces.
            prompts = [question.replace(PLACEHOLDER, readable(text)) for text in batch]
            odds[start : start + len(batch)] = self._yes_no(prompts)
        return odds

    def _yes_no(self, prompts: list[str]) -> np.ndarray:
        logits = np.asarray(self.next_token_logits(prompts))
        needed = max(*self.yes, *self.no) + 1
        if logits.ndim != 2 or len(logits) != len(prompts) or logits.shape[1] < needed:
            raise ValueError(
                f"{self.name}: logits {list(logits.shape)} for {len(prompts)} prompts and "
                f"token {needed - 1}"
            )
        yes, no = (logits[:, list(ids)].astype(np.float64) for ids in (self.yes, self.no))
        if not (np.isfinite(yes).all() and np.isfinite(no).all()):
            raise ValueError(f"{self.name}: logits of yes and no are not finite")
        return np.asarray(np.logaddexp.reduce(yes, axis=1) - np.logaddexp.reduce(no, axis=1))
