"""Mixed styles and ways between samples: layers, ends and files."""

import pytest
import torch
from PIL import Image

from tools.engines.style_pictures import StyleSamples, save_mixing, save_way
from tools.engines.styles import StyleInferer
from tools.networks.stylegan import StyleGANGenerator
from tools.networks.stylegan2 import StyleGAN2Generator
from tools.networks.stylegan3 import StyleGAN3Generator
from tools.transforms.latent import LatentFromSeedd

NETWORKS = {
    "1": lambda: StyleGANGenerator(32, 2, 0, 8, 8, 2, channel_base=256, channel_max=8),
    "2": lambda: StyleGAN2Generator(32, 2, 0, 8, 8, channel_base=256, channel_max=8),
    "3": lambda: StyleGAN3Generator(32, 2, 0, 8, 8, num_layers=4, channel_base=256, channel_max=8),
}


@pytest.fixture(scope="module", params=NETWORKS)
def generator(request):
    torch.manual_seed(0)
    network = NETWORKS[request.param]().eval()
    network.mapping.average.normal_()
    return network


def inferred(generator, seed, **options):
    latent = LatentFromSeedd(latent_dim=8)({"seed": seed})["latent"][None]
    with torch.inference_mode():
        return StyleInferer(**options)(latent, generator)[0]


def test_ends_of_a_way_are_the_samples_of_inference(generator):
    options = {"truncation": 0.7, "cutoff": 3}
    made = [*StyleSamples(generator, **options).way([4, 5, 6], 2)]
    assert len(made) == 5
    for place, seed in ((0, 4), (2, 5), (4, 6)):
        assert torch.equal(made[place], inferred(generator, seed, **options))
    assert not torch.equal(made[1], made[0])
    closed = [*StyleSamples(generator, **options).way([4, 5, 6], 2, closed=True)]
    assert len(closed) == 6
    assert all(torch.equal(one, other) for one, other in zip(closed, made, strict=False))


def test_a_grid_has_the_rows_coarse_and_the_columns_fine_styles(generator, monkeypatch):
    """What the generator is given: layers before the cut are the row's, the others the column's."""
    samples, number = StyleSamples(generator), generator.synthesis.num_ws
    monkeypatch.setattr(samples, "sample", lambda ws: ws)
    rows, columns = [0, 1], [2, 3, 4]
    made = [*samples.mixing(rows, columns, 3)]
    of = dict(zip(rows + columns, made, strict=False))
    for place, ws in enumerate(made[5:]):
        row, column = rows[place // 3], columns[place % 3]
        assert torch.equal(ws[:, :3], of[row][:, :3])
        assert torch.equal(ws[:, 3:], of[column][:, 3:])
        assert not torch.equal(ws[:, 3:], of[row][:, 3:])
    assert torch.equal([*samples.mixing([0], [1], number)][-1], of[0])
    assert torch.equal([*samples.mixing([0], [1], 0)][-1], of[1])


def test_mixing_at_a_layer_leaves_the_features_before_it_alone():
    torch.manual_seed(0)
    generator = NETWORKS["2"]().eval()
    seen = []
    for block in generator.synthesis.blocks:
        block.conv1.register_forward_hook(lambda module, given, made: seen.append(made))
    samples, blocks = StyleSamples(generator), len(generator.synthesis.blocks)
    [*samples.mixing([0], [1], 3)]  # layers of 4 and 8 pixels
    row, column, both = (seen[n * blocks : (n + 1) * blocks] for n in range(3))
    assert [torch.equal(a, b) for a, b in zip(both, row, strict=True)] == [True, True, False, False]
    assert not any(torch.equal(a, b) for a, b in zip(both, column, strict=True))


def test_files(generator, tmp_path):
    samples = StyleSamples(generator)
    picture = save_mixing(samples, tmp_path / "mixing.png", rows=1, columns=2, coarse=2, channel=1)
    assert Image.open(picture).size == (3 * 194, 2 * 194 + 22)
    for film in ("gif", "webp"):
        strip, moving = save_way(samples, tmp_path, stops=2, steps=2, frames=3, film=film, names=["t1", "tumour"])
        assert Image.open(strip).size == (3 * 194, 2 * 194 + 22)
        with Image.open(moving) as opened:
            assert opened.n_frames == 6
            assert opened.size == (2 * 194, 194)


def test_what_cannot_be_shown():
    with torch.device("meta"):
        plain, classes = (StyleGAN2Generator(32, 1, number, channel_max=8) for number in (0, 2))
    with pytest.raises(ValueError, match="class_label is 0, and the weights know 0 classes: expected null"):
        StyleSamples(plain, label=0)
    with pytest.raises(ValueError, match="class_label is None, and the weights know 2 classes: expected a number"):
        StyleSamples(classes)
    with pytest.raises(ValueError, match="coarse_layers is 9, expected a number of the 8 layers"):
        next(StyleSamples(plain).mixing([0], [1], 9))
    with pytest.raises(ValueError, match="got 1 seeds and 4 steps"):
        next(StyleSamples(plain).way([0], 4))
