"""Spin echoes: their equations, played pulse by pulse, and the effect of a contrast agent."""

import numpy as np
import pytest

from tools.data.phantoms.spin_echo import InversionRecovery, SpinEcho, SpinTissue, one_patients

TISSUE = SpinTissue(0.8, 1331, 95, agent=0.4)


def steady_state(sequence, inversion, tissue):
    """Signal of many repetitions in small steps of time."""
    steps = int(sequence.repetition)  # of 1 ms
    m, transverse = 1.0, 0.0
    for _ in range(6):
        if inversion:
            m = -m
        for time in range(steps):
            if time == int(inversion):
                transverse, m = m, 0.0  # 90 degrees
            m = 1 + (m - 1) * np.exp(-1 / tissue.t1)
    return tissue.density * abs(transverse) * np.exp(-sequence.echo / tissue.t2)


@pytest.mark.parametrize(
    ("sequence", "inversion"),
    [(SpinEcho(550, 10), 0), (SpinEcho(4500, 95), 0), (InversionRecovery(9000, 2500, 115), 2500)],
)
def test_signal_is_that_of_the_pulses_played_one_by_one(sequence, inversion):
    assert sequence.signal(TISSUE) == pytest.approx(steady_state(sequence, inversion, TISSUE), rel=2e-3)


def test_flair_nulls_what_has_the_t1_of_its_inversion():
    null = SpinTissue(1, 2500 / np.log(2), 1500)
    flair = InversionRecovery(1e6, 2500, 115)
    assert flair.signal(null) == pytest.approx(0, abs=1e-6)
    assert flair.signal(SpinTissue(1, 1500, 170)) > 0.2


def test_agent_adds_to_the_rates():
    enhanced = TISSUE.enhanced()
    assert 1 / enhanced.t1 - 1 / TISSUE.t1 == pytest.approx(5.0 * 0.4 / 1000)
    assert 1 / enhanced.t2 - 1 / TISSUE.t2 == pytest.approx(7.1 * 0.4 / 1000)
    without = SpinTissue(0.8, 1331, 95)
    assert (without.enhanced().t1, without.enhanced().t2) == pytest.approx((1331, 95))


def test_a_patient_has_the_same_tissues_in_all_images():
    tissues = {3: SpinTissue(0.8, 1000, 100, spread=0.1), 7: SpinTissue(0.9, 2000, 50)}
    drawn = [one_patients(tissues, np.random.default_rng(seed))[3] for seed in range(400)]
    assert np.std([t.t1 for t in drawn]) == pytest.approx(100 * 0.88, rel=0.15)  # cut off at two deviations
    assert max(t.t1 for t in drawn) <= 1200
    assert all(t.t1 / t.t2 == pytest.approx(10) and t.spread == 0 for t in drawn)
    assert one_patients(tissues, np.random.default_rng(0))[7] == tissues[7]
