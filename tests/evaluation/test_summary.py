"""Summaries hold what was measured, survive the disk, and add up to their set."""

import numpy as np
import pytest
import torch

from tools.evaluation.summary import ImageSummary, SetSummary, sets_of, summary_of
from tools.evaluation.views import PLACES, views_of
from tools.features.cache import ArrayCache
from tools.features.space import FeatureSpace
from tools.metrics.layer_summary import LayerSummary


class Means(FeatureSpace):
    """A feature space of volumes: mean and spread."""

    name, dims = "means", 2

    def __call__(self, volumes):
        return torch.stack([volumes.mean((1, 2, 3, 4)), volumes.std((1, 2, 3, 4))], 1)


class SliceMeans(FeatureSpace):
    """A feature space of slices: mean and spread."""

    name, rows, dims = "slice means", "slice", 2

    def __call__(self, volumes):
        return torch.stack([volumes.mean((1, 3, 4)), volumes.std((1, 3, 4))], 2).flatten(0, 1)

    def positions(self, shape):
        return (np.arange(shape[0]) + 0.5) / shape[0]


def volume(seed, depth=20):
    return np.random.default_rng(seed).uniform(-1, 1, (depth, 12, 14)).astype(np.float32)


def summary(seed, depth=20):
    return summary_of(volume(seed, depth), f"v{seed}", [Means(), SliceMeans()])


def test_features_and_places_are_those_of_the_volume():
    one = summary(0)
    assert one.rows["means"].features == pytest.approx(np.array([[volume(0).mean(), volume(0).std(ddof=1)]]), abs=1e-6)
    assert one.rows["slice means"].features[:, 0] == pytest.approx(volume(0).mean((1, 2)), abs=1e-6)
    assert one.rows["means"].positions is None
    assert one.rows["slice means"].positions[0] == pytest.approx(0.025)
    assert one.value_range == (volume(0).min(), volume(0).max())
    assert not one.constant


def test_a_summary_comes_back_from_disk_as_it_was(tmp_path):
    cache = ArrayCache(tmp_path)
    for seed in range(3):
        one = summary(seed)
        cache.save(one.id, one.state())
        back = ImageSummary.of_state(cache.load(one.id), one.id)
        assert (back.id, back.shape, back.value_range) == (one.id, one.shape, pytest.approx(one.value_range))
        assert back.views.keys() == one.views.keys()
        assert all(np.array_equal(back.views[name], view) for name, view in one.views.items())
        assert back.rows.keys() == one.rows.keys()
        for name, rows in one.rows.items():
            assert np.array_equal(back.rows[name].features, rows.features)
            assert np.array_equal(back.rows[name].positions, rows.positions)
        assert back.layers.histogram(3) == pytest.approx(one.layers.histogram(3))
        assert back.layers.spectrum(9) == pytest.approx(one.layers.spectrum(9), rel=1e-6)


def test_a_set_is_the_sum_of_its_images():
    images = [summary(seed) for seed in range(5)]
    whole = sets_of({"real": images}, seed=1)["real"]
    direct = LayerSummary()
    for seed in range(5):
        direct.add(volume(seed))
    assert whole.layer_summary.histogram(4, 3) == pytest.approx(direct.histogram(4, 3))
    assert whole.layer_summary.spectrum(4) == pytest.approx(direct.spectrum(4))
    assert whole.features("slice means").shape == (100, 2)
    assert list(whole.groups("slice means")) == [i for i in range(5) for _ in range(20)]
    assert whole.positions("means") is None
    half = whole.in_first("means")
    assert sum(half) == 2
    first = LayerSummary()
    for seed in np.flatnonzero(half):
        first.add(volume(seed))
    assert whole.split_layers[0].histogram(0) == pytest.approx(first.histogram(0))
    assert whole.value_range == (min(i.value_range[0] for i in images), max(i.value_range[1] for i in images))


def test_bad_volumes_are_named():
    for bad, message in (
        (volume(0)[0, 0], r"v must be a volume .* or an image .* got shape \(1, 14\)"),
        (volume(0) * 300, r"v: values from -299.* to .*expected \[-1, 1\]"),
        (np.where(volume(0) > 0.9, np.nan, volume(0)), "v: .* of 3360 voxels are NaN"),
        (volume(0, depth=8), "8 slices cannot be divided into 10 layers"),
    ):
        with pytest.raises(ValueError, match=message):
            summary_of(bad, "v")


def test_slices_of_two_sizes_do_not_make_a_set():
    a, b = summary(0), summary_of(volume(1)[:, :10], "small")
    a_set = SetSummary("real", ["v0", "small"])
    a_set.add(a)
    with pytest.raises(ValueError, match="small has slices of 10 x 14 and v0 of 12 x 14"):
        a_set.add(b)
    a_set.add(summary(2, depth=30))
    assert len(a_set.shapes) == 2


def test_views_show_the_same_places_in_proportion():
    ramp = np.linspace(-1, 1, 100, dtype=np.float32)[:, None, None] * np.ones((100, 40, 60), np.float32)
    views = views_of(ramp, (2.0, 1.0, 1.0))
    assert list(views) == list(PLACES)
    assert views["axial 50%"].shape == (40, 60)
    assert views["coronal"].shape == (100, 30)  # 200 mm high, 60 mm wide
    assert views["axial 10%"].mean() == pytest.approx(255 * 0.1, abs=2)
    assert views["sagittal"][0].mean() > views["sagittal"][-1].mean()  # the head is at the top


def test_a_constant_image_says_so():
    one = summary_of(np.zeros((10, 12, 12), np.float32), "blank")
    assert isinstance(one, ImageSummary)
    assert one.constant
    assert not one.layers.has_spectrum(0)


@pytest.mark.parametrize("shape", [(12, 14), (1, 12, 14)])
def test_a_2d_image_is_a_volume_of_one_slice_in_one_layer(shape):
    flat = volume(3)[5]
    one = summary_of(flat.reshape(shape), "slice", [SliceMeans()])
    assert one.shape == (1, 12, 14)
    assert one.layers.layers == 1
    assert one.layers.histogram(0) == pytest.approx(np.histogram(flat, 256, (-1, 1))[0] / flat.size)
    assert one.rows["slice means"].features == pytest.approx(np.array([[flat.mean(), flat.std(ddof=1)]]), abs=1e-6)
    assert one.rows["slice means"].positions.tolist() == [0.5]
    assert {name: view.shape for name, view in one.views.items()} == {"image": (12, 14)}
    assert np.array_equal(one.views["image"], np.round((flat.astype(float) + 1) / 2 * 255))
