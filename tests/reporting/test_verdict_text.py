from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts.forest import comparisons
from steer_assets.reporting.pages.report import render_report
from steer_assets.reporting.safe_text import plain
from steer_assets.reporting.verdict_text import headline, layer_verdicts, number
from tests.tiny import few_figures

Change = Callable[..., Evidence]


@given(st.text(max_size=80))
def test_plain_text_has_no_character_that_acts(text: str):
    shown = plain(text)
    assert all(ord(c) >= 0x20 or c in "\n\t" for c in shown)
    assert not any(0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) < 0x202F for c in shown)
    assert plain(shown) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(-0.001, "0.00"), (-1.234, "−1.23"), (0.456, "0.46"), (12.0, "12.00")]
)
def test_numbers(value: float, shown: str):
    assert number(value) == shown


def _with_verdict(evidence: Evidence, changed: Change, verdict: str) -> Evidence:
    rows = evidence.table("equivalence_reports").with_columns(verdict=pl.lit(verdict))
    return changed(equivalence_reports=rows.filter(pl.col("layer") == 15))


@pytest.mark.parametrize(
    ("verdict", "said", "never"),
    [
        ("equivalent", "is shown to act like v", "stays open"),
        ("different", "is shown to act differently from v", "act like v"),
        ("inconclusive", "stays open", "is shown to"),
        ("untestable", "cannot be compared", "is shown to"),
    ],
)
def test_each_verdict_has_its_own_words(
    evidence: Evidence, changed: Change, verdict: str, said: str, never: str
):
    first, missing = layer_verdicts(_with_verdict(evidence, changed, verdict))
    sentence = first.sentences[1]
    assert said in sentence
    assert never not in sentence
    assert missing.verdict == ""


def test_what_no_scorer_can_see_is_said_for_all_of_them(evidence: Evidence):
    certified, apart = (layer.sentences[2] for layer in layer_verdicts(evidence))
    assert "by more than 8.0% of its range (whole texts of 28 prompts: certified)" in certified
    assert "Nearly every text of v + v⊥ gives it away" in apart
    assert "AUROC of 0.90" in apart
    assert "total variation 80% to 81%" in apart
    assert "the trait score shows at most" in apart


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.9, "Nearly every text of v + v⊥"),
        (0.55, "About one in two texts of v + v⊥"),
        (0.2, "About one in five texts of v + v⊥"),
        (0.1, "About one in 10 texts of v + v⊥"),
    ],
)
def test_the_share_of_texts_is_the_total_variation(
    evidence: Evidence, changed: Change, share: float, words: str
):
    rows = evidence.table("text_divergences").with_columns(total_variation=pl.lit(share))
    told = changed(text_divergences=rows)
    assert any(words in s for layer in layer_verdicts(told) for s in layer.sentences)


def test_without_whole_texts_nothing_is_said_of_them(evidence: Evidence, changed: Change):
    for layer in layer_verdicts(changed(text_divergences=None)):
        assert len(layer.sentences) == 3
        assert not any("observer" in words for words in layer.sentences)


def test_a_scorer_with_another_verdict_is_named(evidence: Evidence, changed: Change):
    rows = evidence.table("equivalence_reports")
    own = rows.filter(pl.col("scorer") == evidence.scorer)
    verdicts = own["verdict"].to_list()
    same = own.with_columns(scorer=pl.lit("second"))
    assert not any(
        "do not agree" in words
        for layer in layer_verdicts(changed(equivalence_reports=pl.concat([own, same])))
        for words in layer.sentences
    )
    other = same.with_columns(verdict=pl.Series(["untestable", *verdicts[1:]]))
    first, *rest = layer_verdicts(changed(equivalence_reports=pl.concat([own, other])))
    assert first.sentences[-1] == (
        "Scorers do not agree on this verdict: by second it is untestable."
    )
    assert not any("do not agree" in words for layer in rest for words in layer.sentences)


def test_inconclusive_says_how_many_prompts_would_do(evidence: Evidence, changed: Change):
    first, _ = layer_verdicts(_with_verdict(evidence, changed, "inconclusive"))
    assert "with 28 prompts" in first.sentences[1]
    assert "would take about 61" in first.sentences[1]


@pytest.mark.parametrize(
    ("effect", "p", "words"),
    [
        (0.5, 0.001, "v steers towards formal: 0.50 [0.30, 0.70] SD"),
        (-0.5, 0.001, "v steers towards informal, against its intent: −0.50 [−0.70, −0.30] SD"),
        (0.5, 0.2, "v shows no significant effect of its own: 0.50 [0.30, 0.70] SD"),
    ],
)
def test_whether_v_steers_follows_the_adjusted_test(
    evidence: Evidence, changed: Change, effect: float, p: float, words: str
):
    reports = evidence.table("equivalence_reports").with_columns(
        efficacy=pl.lit(effect), efficacy_low=pl.lit(effect - 0.2), efficacy_high=effect + 0.2
    )
    tests = evidence.table("equivalence_tests").with_columns(p_difference_adjusted=pl.lit(p))
    changed_evidence = changed(equivalence_reports=reports, equivalence_tests=tests)
    assert layer_verdicts(changed_evidence)[0].sentences[0].startswith(words)


def test_the_card_has_the_result_of_the_family_and_the_unit_of_the_figures(
    evidence: Evidence, changed: Change
):
    for found in layer_verdicts(evidence):
        at = pl.col("layer") == found.layer
        family = evidence.families.filter(at, pl.col("family") == "base_plus_orthogonal")
        row = family.row(0, named=True)
        sentence = found.sentences[1]
        assert f"{row['n_inside']} of {row['n_seeds']} random v⊥" in sentence
        assert f"{number(row['rms_effect'])} SD, at most {number(row['rms_upper'])} SD" in sentence
        assert found.verdict == row["verdict"]
        drawn = evidence.tests("efficacy").filter(
            at, pl.col("vector_id") == f"L{found.layer}.base", evidence.at_headline_dose,
            pl.col("environment") == "pooled",
        )  # fmt: skip
        shown = [number(drawn[c][0]) for c in ("effect_sd", "low_sd", "high_sd")]
        assert f"{shown[0]} [{shown[1]}, {shown[2]}] SD" in found.sentences[0]


def test_an_effect_that_could_not_be_measured_has_no_number(evidence: Evidence, changed: Change):
    reports = evidence.table("equivalence_reports").with_columns(
        verdict=pl.lit("untestable"), reason=pl.lit("one prompt is too few"),
        **dict.fromkeys(("efficacy", "efficacy_low", "efficacy_high"), pl.lit(None)),
    )  # fmt: skip
    nothing = changed(equivalence_reports=reports, equivalence_tests=None, family_tests=None)
    assert "what v does could not be measured" in headline(nothing)
    words = layer_verdicts(nothing)[0].sentences
    assert words[0] == "Whether v steers could not be measured: one prompt is too few."
    with few_figures():
        assert "– [–, –]" in render_report(nothing).html


def test_the_signed_mean_over_seeds_is_in_no_comparison(evidence: Evidence, changed: Change):
    tests = evidence.table("equivalence_tests")
    seed = pl.col("vector_id") == "L15.base_plus_orthogonal.s0"
    mean = tests.filter(seed).with_columns(
        vector_id=pl.lit("L15.base_plus_orthogonal.all_seeds"), verdict=pl.lit("descriptive")
    )
    more = changed(equivalence_tests=pl.concat([tests, mean]))
    assert comparisons(more).equals(comparisons(evidence))


def test_headline_names_every_layer_with_its_interval(evidence: Evidence):
    words = headline(evidence)
    assert words.startswith("Formality in Toy 135M (30 blocks): at layer 15 (v moves the score by ")
    assert "v + v⊥ is shown to act like v within ±0.2 SD of the trait score; at layer 20" in words
    assert words.endswith("v + v⊥ is shown to act differently from v.")


def test_layers_of_the_study_are_found_from_fractions(evidence: Evidence, changed: Change):
    assert evidence.steered_layers == [15, 20]
    assert evidence.measured_layers == [7, 15, 20, 22]
    without = changed(models=None)
    assert without.steered_layers == [15, 20]  # from the rows
    assert changed(models=None, equivalence_reports=None).steered_layers == []


def test_headline_dose_is_one_or_the_most_frequent(evidence: Evidence, changed: Change):
    assert evidence.headline_alpha == 1.0
    tests = evidence.table("equivalence_tests").filter(pl.col("alpha") != 1.0)
    assert changed(equivalence_tests=tests).headline_alpha == 0.5
    assert changed(equivalence_tests=None).headline_alpha is None
