"""The first sentence of a report says what the numbers say: who is closest, by what, and how sure that is."""

import math

import pytest

from tools.evaluation.conclusion import conclusion
from tools.evaluation.page import number_text
from tools.evaluation.report import _space_notes
from tools.evaluation.results import Metric, Score, SpaceResult
from tools.evaluation.units import SIGNED, Unit
from tools.metrics.layers import LayerScores
from tools.transforms.window import Window


def space(baseline, note="", **models):
    """Model -> (value, low, high) of the FID; the KID ranks the other way round."""
    scores = {
        name: {"fid": Score(value, low=low, high=high), "kid": Score(-value)}
        for name, (value, low, high) in models.items()
    }
    return SpaceResult(note, "volume", 3, {"fid": baseline, "kid": 0.0}, scores)


EQUAL = {"a": 8, "b": 8}


def test_the_closest_is_named_with_its_distance_and_that_of_real_to_real():
    said = conclusion({"one": space(2.0, a=(30, 20, 40), b=(5, -1, 11))}, {}, EQUAL)
    assert said == (
        "b is closest to the real images (FID 5, 0 to 11 in one; one half of the real images has 2 to the other half), "
        "before a (30, 20 to 40); their 95 percent intervals lie apart."
    )


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ((10, 5, 15), (5, 1, 9), "intervals overlap: with other images the order may be another"),
        ((10, None, None), (5, None, None), "how sure that is was not measured"),
    ],
)
def test_how_sure_it_is(a, b, said):
    assert said in conclusion({"one": space(2.0, a=a, b=b)}, {}, EQUAL)


def test_spaces_that_disagree_are_named():
    one, other = space(2.0, a=(1, 0, 2), b=(5, 4, 6)), space(2.0, a=(5, 4, 6), b=(1, 0, 2))
    assert conclusion({"one": one, "two": one}, {}, EQUAL).endswith("lie apart. All 2 feature spaces agree.")
    assert conclusion({"one": one, "two": other}, {}, EQUAL).endswith("agree: closest is b in two.")


def test_sets_of_different_size_are_ranked_by_a_distance_without_bias():
    spaces = {"one": space(2.0, a=(1, 0, 2), b=(5, 4, 6))}
    assert conclusion(spaces, {}, {"a": 8, "b": 9}).startswith("b is closest to the real images (KID -5 ")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ((30, 20, 40), "a differs from the real images by more than they do from each other (FID 30, 20 to 40 in one;"),
        ((3, 1, 5), "a cannot be told from the real images by this distance, with this number of images"),
        ((3, None, None), "how sure the distance is was not measured"),
    ],
)
def test_a_single_model_is_judged_against_real_to_real(number, said):
    assert said in conclusion({"one": space(2.0, a=number)}, {}, {"a": 8})


def test_without_features_grey_values_speak():
    def scores(value):
        return {Metric("kl_256"): LayerScores((value,), (0.05,), value, 0.05, (value / 0.05,), value / 0.05)}

    said = conclusion({}, {"a": scores(0.3), "b": scores(0.1)}, EQUAL)
    assert said.startswith("b is closest to the real images by grey values alone")
    assert "b 0.1, a 0.3; real against real 0.05" in said
    broken = {"one": space(2.0, a=(math.nan, None, None))}
    assert "grey values alone" in conclusion(broken, {"a": scores(0.3)}, {"a": 8})


def test_values_are_shown_in_hu_where_they_are_hu():
    hu = Unit("HU", Window(-1024, 600))
    assert [hu.value(v) for v in (-1, 0, 1)] == [-1024, -212, 600]
    assert hu.between(-1, 1) == "-1024 and 600 HU"
    assert (hu.axis, SIGNED.axis) == ("value (HU)", "value, scaled to [-1, 1]")
    assert SIGNED.between(-0.5, 0.25) == "-0.50 and 0.25 of [-1, 1]"


def test_a_note_of_several_spaces_is_said_once_and_no_number_fills_the_page():
    notes = _space_notes({"one": space(1, "rough", a=(1, 0, 2)), "two": space(1, "rough"), "three": space(1)})
    assert notes == ["one, two: rough."]
    assert number_text(-74760025493704548045291527.0) == "-7.476e+25"
    assert number_text(123456.7) == "123457"
