"""Adaptive augmentation: each transformation against torch's own or by hand, how often it happens, and p."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from tools.engines.draws import Draws
from tools.losses.adaptive_augmentation import AdaptiveAugmentation
from tools.losses.augmentation import SIZES, STRENGTHS, Augmentation
from tools.losses.octave_bands import HALF_BAND, POWER, balanced, band_filters

NONE = dict.fromkeys(STRENGTHS, 0.0)
IDENTITY = [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
FLIP, TURN, DOWN, RIGHT, MAP, NOISE, CUTOUT, GREY = 0, 1, 2, 3, slice(4, 10), 10, slice(12, 15), 15
BANDS = slice(19, 27)
"""Places of parameters."""


def only(**strengths):
    return Augmentation(2, 1, NONE | strengths)


def uniforms(rows, augmentation, seed=0):
    return Draws(seed, 0).choices(rows, augmentation.number)


def images(rows=3, side=16, smooth=False):
    x = torch.randn(rows, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if smooth:
        place = torch.linspace(-1, 1, side, dtype=torch.float64)
        x = torch.exp(-4 * (place[:, None] - 0.2) ** 2 - 6 * (place[None] + 0.1) ** 2).expand(rows, 3, -1, -1).clone()
    return x


def parameters(rows=3, changes=()):
    """Those of nothing, but for changes (place, value)."""
    given = torch.tensor([*IDENTITY, 1, 1, 0, 0, *[1] * 8], dtype=torch.float32).repeat(rows, 1)
    for place, value in changes:
        given[:, place] = torch.as_tensor(value, dtype=torch.float32)
    return given


def test_nothing_happens_without_a_probability():
    augmentation, x = Augmentation(2, 1), images()
    drawn = augmentation.draw(uniforms(3, augmentation), 0.0)
    assert augmentation(x, drawn) is x
    augmentation = only()
    assert augmentation(x, augmentation.draw(uniforms(3, augmentation), 1.0)) is x
    assert augmentation(x, parameters()) is x


def test_rows_to_which_nothing_happens_stay_bit_for_bit():
    x, given = images(), parameters()
    given[1, MAP] = torch.tensor([0.8, 0.1, 0.0, -0.1, 0.9, 0.2])
    found = only()(x, given)
    assert torch.equal(found[::2], x[::2])
    assert not torch.equal(found[1], x[1])


def test_flips_and_turns_are_torchs():
    x = images()
    for turns in range(4):
        for flip in (0, 1):
            expected = torch.rot90(x.flip(3) if flip else x, turns, (2, 3))
            assert torch.equal(only()(x, parameters(3, [(FLIP, flip), (TURN, turns)])), expected)


def test_shifts_are_by_whole_pixels_and_mirror_beyond_the_border():
    x = images()
    found = only()(x, parameters(3, [(DOWN, 0.12), (RIGHT, -0.06)]))  # 1.92 and -0.96 pixels of 16
    assert torch.equal(found[:, :, 2:, :-1], x[:, :, :-2, 1:])
    assert torch.equal(found[:, :, 0, :-1], x[:, :, 2, 1:])
    assert torch.equal(found[:, :, 1:, -1][:, :, 1:], x[:, :, :-2, -2])


@pytest.mark.parametrize(
    ("inverse", "expected", "inside"),
    [
        ([1, 0, 2 / 32, 0, 1, 0], lambda x: x.roll(-1, 3), 1e-3),  # one pixel of 32 to the left
        ([0, 1, 0, -1, 0, 0], lambda x: torch.rot90(x, -1, (2, 3)), 1e-3),
        ([-1, 0, 0, 0, 1, 0], lambda x: x.flip(3), 1e-3),
    ],
)
def test_the_map_is_what_its_numbers_say(inverse, expected, inside):
    """Within what a low-pass filter takes away from a smooth image; labels to rounding."""
    x = images(side=32, smooth=True)
    found, wanted = only().double()(x, parameters(3, [(MAP, inverse)])), expected(x)
    torch.testing.assert_close(found[:, :, 4:-4, 4:-4], wanted[:, :, 4:-4, 4:-4], rtol=0, atol=inside)
    torch.testing.assert_close(found[:, 2:, 4:-4, 4:-4], wanted[:, 2:, 4:-4, 4:-4], rtol=0, atol=1e-6)


def test_coordinates_keep_their_digits_in_half_precision():
    x = images(side=256, smooth=True).float()
    given = parameters(3, [(MAP, [0.9, 0.2, 0.05, -0.2, 0.9, 0.1])])
    expected = only()(x, given)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(only()(x, given), expected)
        found = only()(x.bfloat16(), given)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.01)


def test_labels_do_not_overshoot():
    x = images(side=32)
    x[:, :, 8:24, 8:24], x[:, :, :8], x[:, :, 24:], x[:, :, :, :8], x[:, :, :, 24:] = 1, -1, -1, -1, -1
    turned = [math.cos(0.5), -math.sin(0.5), 0, math.sin(0.5), math.cos(0.5), 0]
    found = only().double()(x, parameters(3, [(MAP, turned)]))
    assert found[:, 2].abs().max() <= 1 + 1e-12
    assert found[:, :2].max() > 1.01


def test_what_is_drawn_of_the_geometry_is_composed_in_the_papers_order():
    """scale, rotate, stretch, rotate, translate: a point goes where each of them in turn takes it."""
    augmentation = Augmentation(1, 0, NONE | dict.fromkeys(("scale", "rotate", "stretch", "translate"), 1.0))
    numbers = uniforms(5, augmentation).double()
    drawn = augmentation.draw(numbers.float(), 1.0)
    normal = lambda u: torch.special.ndtri(u)  # noqa: E731
    for row, u in zip(drawn, numbers.unbind(0), strict=True):
        size, angle = 2 ** (0.2 * normal(u[7])), (2 * u[10] - 1) * math.pi
        angle_after, stretch = (2 * u[12] - 1) * math.pi, 2 ** (0.2 * normal(u[13]))
        point = torch.tensor([0.3, -0.2], dtype=torch.float64)
        x, y = size * point
        x, y = x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()
        x, y = x * stretch, y / stretch
        x, y = x * angle_after.cos() - y * angle_after.sin(), x * angle_after.sin() + y * angle_after.cos()
        x, y = x + 2 * 0.125 * normal(u[16]), y + 2 * 0.125 * normal(u[17])
        back = row[MAP].view(2, 3).double() @ torch.stack([x, y, torch.ones_like(x)])
        torch.testing.assert_close(back, point, rtol=0, atol=1e-4)


def test_grey_values_change_in_images_alone():
    x = images()
    given = parameters(3, [(slice(GREY, GREY + 2), [0.5, -1.0]), (slice(GREY + 2, GREY + 4), [0.1, 0.0])])
    found = only()(x, given)
    torch.testing.assert_close(found[:, 0], 0.5 * x[:, 0] + 0.1, rtol=0, atol=1e-7)
    assert torch.equal(found[:, 1], -x[:, 1])
    assert torch.equal(found[:, 2], x[:, 2])


def test_brightness_comes_before_contrast():
    augmentation = only(brightness=1.0, contrast=1.0)
    drawn = augmentation.draw(uniforms(4000, augmentation), 1.0)
    factor, shift = drawn[:, GREY].double(), drawn[:, GREY + 2].double()
    assert (shift / factor).std().item() == pytest.approx(0.2, rel=0.05)
    assert factor.log2().std().item() == pytest.approx(0.5, rel=0.05)
    assert not torch.equal(drawn[:, GREY], drawn[:, GREY + 1])


def test_inversion_is_a_sign():
    augmentation = only(invert=1.0)
    drawn = augmentation.draw(uniforms(4000, augmentation), 1.0)
    assert set(drawn[:, GREY].tolist()) == {1.0, -1.0}
    assert (drawn[:, GREY] < 0).float().mean().item() == pytest.approx(0.5, abs=0.04)


def test_gains_of_one_change_nothing():
    x = images(side=48).float()
    found = only().amplify(x, torch.ones(3, 8))
    torch.testing.assert_close(found, x, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("number", "strongest"), [(1, 0), (11, 1), (24, 2), (63, 3)])
def test_gains_change_the_bands_of_images_alone(number, strongest):
    """A wave, which mirroring goes on with, is multiplied by what the bands let pass of its frequency."""
    side, gains = 64, [[0.5, 2.0, 3.0, 0.25], [1.0, 1.0, 1.0, 4.0]]
    wave = (math.pi * number / (side - 1) * torch.arange(side, dtype=torch.float64)).cos()
    frequency = number / (side - 1) / 2
    half = [
        0.5 + 9 / 16 * math.cos(a) - 1 / 16 * math.cos(3 * a)
        for a in (2 * math.pi * frequency * 2**k for k in (0, 1, 2))
    ]
    passed = [1, half[0], half[0] * half[1], half[0] * half[1] * half[2]]
    shares = [passed[3], passed[2] - passed[3], passed[1] - passed[2], passed[0] - passed[1]]
    assert max(range(4), key=shares.__getitem__) == strongest
    given = parameters(3, [(BANDS, [*gains[0], *gains[1]])])
    for x in (wave.expand(3, 3, side, side), wave[:, None].expand(3, 3, side, side)):
        found = only()(x, given)
        assert torch.equal(found[:, 2], x[:, 2])
        for channel in range(2):
            factor = sum(gain * share for gain, share in zip(gains[channel], shares, strict=True))
            # along the other axis it is constant, of the lowest band
            torch.testing.assert_close(found[:, channel], x[:, channel] * factor * gains[channel][0], rtol=0, atol=1e-6)


def test_bands_add_up_and_keep_power():
    filters = band_filters()
    expected = torch.zeros(43, dtype=torch.float64)
    expected[21] = 1
    torch.testing.assert_close(filters.sum(0), expected, rtol=0, atol=1e-15)
    wavelet = np.array([1 + 3**0.5, 3 + 3**0.5, 3 - 3**0.5, 1 - 3**0.5]) / (4 * 2**0.5)  # sym2
    np.testing.assert_allclose(np.correlate(wavelet, wavelet, "full") / 2, HALF_BAND, atol=1e-15)
    passed = np.array([1.0])
    for level in range(3):  # P(z) P(z^2) P(z^4)
        spread = np.zeros(6 * 2**level + 1)
        spread[:: 2**level] = HALF_BAND
        passed = np.convolve(passed, spread)
    np.testing.assert_allclose(filters[0].numpy(), passed, atol=1e-15)
    factors = 2 ** torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for row, found in zip(factors.tolist(), balanced(factors), strict=True):
        gain = np.ones(4)
        for band in range(4):
            step = np.ones(4)
            step[band] = row[band]
            gain = gain * step / np.sqrt((np.array(POWER) * step**2).sum())
        np.testing.assert_allclose(found.numpy(), gain, rtol=1e-12)


def test_each_band_is_drawn_by_itself_and_each_image_has_its_own():
    augmentation = only(bands=1.0)
    drawn = augmentation.draw(uniforms(4000, augmentation), 0.3)[:, BANDS].view(-1, 2, 4)
    expected = 4000 * (1 - 0.7**4)
    seen = (drawn[:, 0] != 1).any(1).sum().item()
    assert (seen - expected) ** 2 / (4000 * 0.7**4 * (1 - 0.7**4)) < chi2.ppf(0.9999, df=1)
    assert torch.equal((drawn[:, 0] != 1).any(1), (drawn[:, 1] != 1).any(1))
    assert not torch.equal(drawn[:, 0], drawn[:, 1])


def test_noise_and_cutout():
    x = images(side=64)
    found = only()(x, parameters(3, [(NOISE, 0.1), (NOISE + 1, 7.0)]))
    assert (found - x)[:, :2].std().item() == pytest.approx(0.1, rel=0.05)
    assert torch.equal(found[:, 2], x[:, 2])
    found = only()(x, parameters(3, [(CUTOUT, [1.0, 0.5, 0.25])]))
    assert (found[:, :, 16:48, :32] == 0).all()
    assert torch.equal(found[:, :, :16], x[:, :, :16])
    assert torch.equal(found[:, :, :, 32:], x[:, :, :, 32:])


@pytest.mark.parametrize(
    ("name", "happened", "share"),
    [
        ("flip", lambda d: d[:, FLIP] == 1, 0.5),
        ("turn", lambda d: d[:, TURN] > 0, 0.75),
        ("shift", lambda d: d[:, DOWN] != 0, 1.0),
        ("scale", lambda d: d[:, 4] != 1, 1.0),
        ("rotate", lambda d: d[:, 5] != 0, 1.0),
        ("stretch", lambda d: d[:, 4] != 1, 1.0),
        ("translate", lambda d: d[:, 6] != 0, 1.0),
        ("brightness", lambda d: d[:, GREY + 2] != 0, 1.0),
        ("contrast", lambda d: d[:, GREY] != 1, 1.0),
        ("noise", lambda d: d[:, NOISE] != 0, 1.0),
        ("cutout", lambda d: d[:, 12] == 1, 1.0),
    ],
)
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_each_happens_as_often_as_its_probability_says(name, happened, share, strength):
    rows, p = 4000, 0.4
    augmentation = only(**{name: strength})
    drawn = augmentation.draw(uniforms(rows, augmentation), p)
    expected = rows * p * strength * share
    seen = happened(drawn).sum().item()
    squared = (seen - expected) ** 2 / expected + (seen - expected) ** 2 / (rows - expected)
    assert squared < chi2.ppf(0.9999, df=1)


@pytest.mark.parametrize(("p", "share"), [(0.1, 0.399), (0.3, 0.046), (0.6, 0.00044)])
def test_the_share_of_images_to_which_nothing_happens(p, share):
    """With luma flips: those with a coin happen half as often, quarter turns at 3 of 4, seven others always."""
    assert (1 - p / 2) ** 2 * (1 - 0.75 * p) * (1 - p) ** 7 == pytest.approx(share, rel=0.05)
    augmentation, rows = Augmentation(1, 0, {"invert": 1.0}), 4000
    drawn = augmentation.draw(uniforms(rows, augmentation), p)[:, : len(IDENTITY) + 2]
    nothing = torch.tensor([*IDENTITY, 1.0, 0.0])
    chosen = [*range(10), 15, 16]  # what is not the place of something that does not happen
    untouched = (drawn[:, chosen] == nothing[chosen]).all(1).double().mean().item()
    assert untouched == pytest.approx(share, abs=4 * (share / rows) ** 0.5)


def test_how_far_each_goes_is_in_proportion_to_its_size():
    names = ("shift", "scale", "translate", "brightness", "contrast", "noise")
    half = {name: size / 2 for name, size in SIZES.items()}
    numbers = uniforms(50, only())
    for name in names:
        whole, less = (Augmentation(2, 1, NONE | {name: 1.0}, sizes=sizes) for sizes in (None, half))
        whole, less = (augmentation.draw(numbers, 1.0).double() for augmentation in (whole, less))
        logarithmic = {"scale": 4, "contrast": GREY}
        place = logarithmic.get(name, {"shift": DOWN, "translate": 6, "brightness": GREY + 2, "noise": NOISE}.get(name))
        if name in logarithmic:
            whole, less = whole.log2(), less.log2()
        torch.testing.assert_close(whole[:, place], 2 * less[:, place], rtol=1e-4, atol=1e-6)
        assert whole[:, place].abs().min() > 0
    small = Augmentation(2, 1, sizes={"cutout": 0.25})(images(side=64), parameters(3, [(CUTOUT, [1.0, 0.5, 0.25])]))
    assert (small == 0).sum() == 3 * 3 * 16 * 16


def test_r1_through_all_transformations_has_the_gradient_of_its_differences():
    """Twice differentiable: torch's own sampling is not."""
    augmentation = Augmentation(2, 1, STRENGTHS | {"bands": 1.0, "noise": 1.0, "cutout": 1.0}).double()
    x = images(side=12)
    drawn = augmentation.draw(uniforms(3, augmentation), 0.9)
    assert (drawn[:, MAP] != torch.tensor([1.0, 0, 0, 0, 1, 0])).any(1).all()
    torch.manual_seed(0)
    weight = torch.randn(3, 12, 12, dtype=torch.float64, requires_grad=True)

    def penalty(weight):
        image = x.clone().requires_grad_()
        verdict = (augmentation(image, drawn) * weight).tanh().sum()
        return torch.autograd.grad(verdict, image, create_graph=True)[0].square().sum()

    assert torch.autograd.gradcheck(penalty, weight, fast_mode=True)


def test_strengths_are_checked():
    with pytest.raises(ValueError, match=r"strengths has \['hue'\]"):
        Augmentation(1, 0, {"hue": 1.0})
    with pytest.raises(ValueError, match=r"expected numbers in \[0, 1\]"):
        Augmentation(1, 0, {"flip": 2.0})
    with pytest.raises(ValueError, match=r"sizes has \['flip'\], expected names of shift, scale"):
        Augmentation(1, 0, sizes={"flip": 1.0})
    with pytest.raises(ValueError, match=r"sizes are \{'scale': -1.0\}, expected 0 or more"):
        Augmentation(1, 0, sizes={"scale": -1.0})
    with pytest.raises(ValueError, match=r"expected square images of 2 \+ 1 channels"):
        only()(torch.zeros(3, 1, 8, 8), parameters())


# --- the controller ---


def stepped(augmentation, verdicts, rows=8, iterations=1000):
    """p after iterations in which D said so of real images."""
    found = []
    for iteration, verdict in enumerate(verdicts):
        augmentation.adapt(rows, Draws(0, iteration, iterations=iterations))
        augmentation.observe(torch.tensor(verdict).expand(rows, 1))
        found.append(float(augmentation.probability))
    return found


def test_p_moves_by_signs_every_four_iterations():
    augmentation = AdaptiveAugmentation(1, speed=1000)
    step = 8 * 4 / 1000
    # means of signs: 1, then 0.5 in two of four, then 1
    found = stepped(augmentation, [3.0] * 4 + [0.1, 0.1, 0.1, -9.0] + [1.0] * 5)
    assert found == pytest.approx([0] * 4 + [step] * 4 + [0] * 4 + [step])


def test_p_stays_within_its_limits():
    augmentation = AdaptiveAugmentation(1, speed=100, limit=0.5)
    assert max(stepped(augmentation, [1.0] * 30)) == 0.5
    assert stepped(augmentation, [-1.0] * 30)[-1] == 0


@pytest.mark.parametrize(("images", "batch", "expected"), [(25_000_000, 64, 500_000), (20_000, 8, 3_200)])
def test_its_speed_follows_from_the_length_of_the_run(images, batch, expected):
    augmentation = AdaptiveAugmentation(1)
    assert augmentation.images_to_one(4 * batch, images // batch) == pytest.approx(expected, rel=1e-3)
    with pytest.raises(ValueError, match="length of the run is not known"):
        augmentation.images_to_one(4 * batch, None)


def test_its_state_is_saved():
    first, second = (AdaptiveAugmentation(1, speed=1000) for _ in range(2))
    verdicts = [1.0, 1.0, -1.0, 1.0, 1.0, -1.0]
    stepped(first, verdicts)
    second.load_state_dict(first.state_dict())
    assert stepped(second, [1.0] * 9) == stepped(first, [1.0] * 9)


@pytest.mark.parametrize("wrong", [{"start": 0.9}, {"limit": 2.0}, {"interval": 0}, {"speed": 0}])
def test_settings_of_the_controller_are_checked(wrong):
    with pytest.raises(ValueError, match="expected"):
        AdaptiveAugmentation(1, **wrong)
