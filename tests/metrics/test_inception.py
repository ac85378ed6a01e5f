import math

import numpy as np
import pytest
import torch

from tests.metrics.reference import isc_features_to_metric
from tools.metrics.inception import inception_score


@pytest.mark.parametrize("splits", [1, 3, 10])
def test_it_is_torch_fidelitys(splits):
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (64, 12)))
    reference = isc_features_to_metric(logits, splits=splits, shuffle=False)["inception_score_mean"]
    assert inception_score(logits.softmax(1), splits) == pytest.approx(reference, rel=1e-9)


def test_ends_of_its_range():
    assert inception_score(np.eye(7)) == pytest.approx(7)
    assert inception_score(np.full((9, 4), 0.25)) == pytest.approx(1)
    two = np.array([[0.9, 0.1], [0.3, 0.7]])
    q = [0.6, 0.4]
    by_hand = math.exp(sum(p * math.log(p / q[c]) for row in two for c, p in enumerate(row)) / 2)
    assert inception_score(two) == pytest.approx(by_hand)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="softmax"):
        inception_score(np.ones((3, 4)))
    with pytest.raises(ValueError, match="3 images cannot be divided into 4"):
        inception_score(np.eye(3), 4)
