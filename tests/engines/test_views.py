"""Random views: sizes that a batch shares, spacings and places of their own, labels beside them."""

import pytest
import torch

from tools.engines.draws import Draws
from tools.engines.views import RandomChanges, RandomMirror, RandomViews, warn_unseen
from tools.transforms.channels import Channels
from tools.transforms.views import label_channels, view

CHANNELS = Channels({"ct": [-1024, 600]}, {"lung": 1, "bone": 2})


def batch(rows=6, labels=False):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(rows, 1, 12, 16, 16, generator=generator) * 2 - 1
    field = torch.tensor([[240.0, 320.0, 320.0]]) * (1 + 0.1 * torch.arange(rows)[:, None])
    made = {"image": image, "field_of_view_mm": field}
    if labels:
        made["label"] = torch.randint(0, 3, image.shape, generator=generator).to(torch.uint8)
    return made


def drawn(views, iterations=40, **given):
    return [views(batch(**given), Draws(seed=0, iteration=i)) for i in range(iterations)]


def test_sizes_and_spacings_vary_and_stay_within_the_volume():
    made = drawn(RandomViews([8, 12], whole=0.5))
    assert {tuple(one["image"].shape[2:]) for one in made} == {(a, b, b) for a in (8, 12) for b in (8, 12)}
    field = batch()["field_of_view_mm"]
    shares = []
    for one in made:
        size = torch.tensor(one["image"].shape[2:])
        extent = one["spacing"] * size
        assert (extent <= field * (1 + 1e-5)).all()
        assert (one["spacing"] >= field / torch.tensor([12, 16, 16]) * (1 - 1e-5)).all()
        assert torch.equal(one["spacing"][:, 1], one["spacing"][:, 2])
        shares.append((extent / field)[:, 1])
    is_whole = torch.cat(shares) > 0.999
    assert 0.4 < is_whole.float().mean() < 0.7
    # evenly in the logarithm below that: half of them under the root of the smallest share, 8 of 16
    assert torch.cat(shares).min() < 0.6


def test_a_size_or_a_spacing_beyond_training_is_warned_of(caplog):
    seen = {"sizes": [32, 64], "volume_size": [64, 64, 64], "field_of_view": [320.0, 352.0, 352.0]}
    warn_unseen([64, 32, 48], [5.0, 11.0, 7.0], **seen)
    assert not caplog.records
    warn_unseen([128, 64, 64], [2.5, 5.5, 5.5], **seen)
    assert "asked for [128, 64, 64] voxels, and was trained on 32 to 64 along an axis; for a spacing of" in caplog.text
    assert "of 2.5 x 5.5 x 5.5 mm, and was trained on 5 x 5.5 x 5.5 to 10 x 11 x 11 (slices" in caplog.text


def test_a_view_is_the_box_that_what_is_told_of_it_says():
    """Places are recovered from their codes; the box there has the voxels of the volume."""
    given, levels = batch(rows=1), torch.linspace(0, 1, 4)
    field = given["field_of_view_mm"]
    for iteration in range(8):
        made = RandomViews([6], whole=0.0)(given, Draws(seed=1, iteration=iteration))
        first, last = ((made[key].view(3, 4) * levels).sum(1) for key in ("bottom_region", "top_region"))
        assert torch.allclose(last - first, made["spacing"][0] * 6 / field[0], atol=1e-5)
        expected = view(given["image"], field, (6, 6, 6), made["spacing"], first * field, -1.0)
        assert torch.allclose(made["image"], expected, atol=1e-3)


def test_labels_follow_their_image_and_no_class_is_made():
    made = RandomViews([12], whole=1.0, channels=CHANNELS)(batch(labels=True), Draws(seed=0, iteration=0))
    assert "label" not in made
    assert made["labels"].shape == (6, 2, 12, 12, 12)
    assert set(made["labels"].unique().tolist()) == {-1.0, 1.0}
    same = batch(labels=True)
    same["image"] = same["image"][..., :12, :12]
    same["label"] = same["label"][..., :12, :12]
    kept = RandomViews([12], whole=1.0, channels=CHANNELS)(same, Draws(seed=0, iteration=0))
    assert torch.equal(kept["labels"], label_channels(CHANNELS, same["label"]))
    assert torch.allclose(kept["image"], same["image"], atol=1e-5)


def test_a_row_has_the_same_view_in_any_division_of_the_work():
    views, whole = RandomViews([8, 12]), batch(rows=4)
    together = views(whole, Draws(seed=0, iteration=5))
    for rank in range(2):
        part = {key: value[rank::2] for key, value in whole.items()}
        alone = views(part, Draws(seed=0, iteration=5, rank=rank, world_size=2))
        assert torch.allclose(alone["image"], together["image"][rank::2], atol=1e-6)
        assert torch.equal(alone["spacing"], together["spacing"][rank::2])


@pytest.mark.parametrize("sizes", [[], [0], [8.0]])
def test_sizes_that_will_not_do(sizes):
    with pytest.raises(ValueError, match=r"sizes is .*, expected numbers of voxels"):
        RandomViews(sizes)


def test_half_of_the_samples_are_mirrored_images_and_labels_alike():
    given = {"image": torch.arange(2.0).expand(400, 1, 3, 2), "label": torch.tensor([1, 255]).expand(400, 1, 3, 2)}
    made = RandomMirror()(given | {"class": 1}, Draws(seed=0, iteration=0))
    turned = made["image"][:, 0, 0, 0] == 1
    assert turned.sum().item() == pytest.approx(200, abs=30)  # three standard deviations
    for key in ("image", "label"):
        assert torch.equal(made[key][~turned], given[key][~turned])
        assert torch.equal(made[key][turned], given[key][turned].flip(-1))
    assert made["class"] == 1
    assert torch.equal(RandomMirror(0)(given, Draws(seed=0, iteration=0))["image"], given["image"])
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        RandomMirror(1.5)


def ball(rows=4, size=16):
    """Balls of radius 4 in the middle, bright and labelled, with a soft edge in the image."""
    place = torch.arange(size) - (size - 1) / 2
    radius = torch.stack(torch.meshgrid(place, place, place, indexing="ij")).square().sum(0).sqrt()
    image = torch.sigmoid(2 * (4 - radius)) * 2 - 1
    return {
        "image": image.expand(rows, 1, size, size, size).clone(),
        "label": (radius < 4).to(torch.uint8).expand(rows, 1, size, size, size).clone(),
    }


def test_changes_move_images_and_labels_alike():
    given = ball()
    made = RandomChanges(1.0, degrees=0, scaling=0, shift=0.2, gamma=(1, 1))(given, Draws(seed=0, iteration=0))
    middle = [(given["label"][0, 0].nonzero().float()).mean(0)]
    for image, label in zip(made["image"][:, 0], made["label"][:, 0], strict=True):
        assert label.dtype == torch.uint8
        assert set(label.unique().tolist()) == {0, 1}
        place = label.nonzero().float().mean(0)
        bright = (image > 0).nonzero().float().mean(0)
        assert (place - bright).abs().max() < 0.5  # a label moves by whole voxels
        middle.append(place)
    shifts = torch.stack(middle[1:]) - middle[0]
    assert shifts.abs().max() <= 0.2 * 16 + 0.5
    assert shifts.std(0).min() > 0.5  # every row by its own numbers, along every axis


def test_changes_of_contrast_keep_the_least_and_the_greatest():
    given = ball()
    made = RandomChanges(1.0, degrees=0, scaling=0, shift=0, gamma=(0.5, 0.5))(given, Draws(seed=0, iteration=0))
    low, high = given["image"].aminmax()
    expected = ((given["image"] - low) / (high - low)) ** 0.5 * (high - low) + low
    torch.testing.assert_close(made["image"], expected, atol=1e-4, rtol=0)
    assert torch.equal(made["label"], given["label"])


def test_changes_follow_seed_and_iteration_however_rows_are_dealt_out():
    given = ball()
    whole = RandomChanges(0.5)(given, Draws(seed=0, iteration=3))
    again = RandomChanges(0.5)(given, Draws(seed=0, iteration=3))
    later = RandomChanges(0.5)(given, Draws(seed=0, iteration=4))
    assert torch.equal(whole["image"], again["image"])
    assert not torch.equal(whole["image"], later["image"])
    for rank in range(2):
        part = {key: value[rank::2] for key, value in given.items()}
        made = RandomChanges(0.5)(part, Draws(seed=0, iteration=3, rank=rank, world_size=2))
        assert all(torch.equal(made[key], whole[key][rank::2]) for key in made)


def test_changes_of_none_and_of_too_many():
    given = ball(1)
    assert RandomChanges(0)(given, Draws(seed=0, iteration=0)) is given
    with pytest.raises(ValueError, match=r"share is 1.5"):
        RandomChanges(1.5)
