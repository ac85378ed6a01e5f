"""Ratios of what was measured, beside what the paper prints."""

import pytest

from tests.benchmark.small import CRF, HA
from tools.benchmark.processes import OK, OUT_OF_MEMORY, Outcome
from tools.benchmark.published import MEMORY, PARAMETERS, SPEED
from tools.benchmark.report import Key, make_rows, markdown


def test_ratios_are_pair_by_pair():
    """The machine is twice as slow in the second round: the ratios do not notice."""

    def outcomes(*values):
        return [Outcome(OK, value) for value in values]

    key = Key("speed", 128, 2, CRF)
    crf, ha = make_rows({key: outcomes(4.0, 2.0, 4.0), key._replace(bundle=HA): outcomes(3.6, 1.8, 3.8)}, CRF)
    assert (crf.value, crf.low, crf.high, crf.ratio) == (4.0, 2.0, 4.0, None)
    assert (ha.ratio, ha.ratio_low, ha.ratio_high) == pytest.approx((0.9, 0.9, 0.95))
    assert ha.paper_ratio == pytest.approx(3.845 / 4.236)
    assert (crf.paper, ha.paper) == (4.236, 3.845)
    assert "| 128³ | 2 | 4.000 (2.000 to 4.000) | 4.236 |" in markdown([crf, ha], [CRF, HA], {})


def test_there_is_no_ratio_to_what_does_not_fit():
    key = Key("memory", 256, 6, CRF)
    rows = make_rows({key: [Outcome(OUT_OF_MEMORY)], key._replace(bundle=HA): [Outcome(OK, 5.0)]}, CRF)
    assert [(row.value, row.paper, row.ratio, row.paper_ratio) for row in rows] == [
        ("-", "-", None, None),
        (5.0, "-", None, None),
    ]
    assert "| 256³ | 6 | - | - | 5 | - |  |  |" in markdown(rows, [CRF, HA], {})


def test_the_papers_own_conclusions_follow_from_its_printed_values():
    """Sections 3.3.1 and 3.3.2: a check of what was copied."""
    for size, fewer in ((64, 27.4), (128, 28.1), (256, 28.2)):
        assert 100 * (1 - PARAMETERS[CRF][size] / PARAMETERS[HA][size]) == pytest.approx(fewer, abs=0.15)
    for size, faster in ((128, 10.2), (256, 14.6)):
        assert 100 * (SPEED[CRF][size, 2] / SPEED[HA][size, 2] - 1) == pytest.approx(faster, abs=0.05)
    more = [100 * (MEMORY[HA][128, batch] / MEMORY[CRF][128, batch] - 1) for batch in (2, 4, 6)]
    assert sum(more) / 3 == pytest.approx(9.65, abs=0.5)
    more = [100 * (MEMORY[HA][256, batch] / MEMORY[CRF][256, batch] - 1) for batch in (2, 4)]
    assert sum(more) / 2 == pytest.approx(9.34, abs=0.05)
