"""Shapes at every size, and the parameter counts of the paper's Table 3."""

import pytest
import torch

from tools.layers.crf import MeanFieldCRF
from tools.networks.hierarchical_gan import (
    EmbeddingGenerator,
    Generator,
    HalfEncoder,
    HierarchicalDiscriminator,
    HierarchicalGenerator,
    Reconstructor,
    SubEncoder,
    SubVolumeDecoder,
    SubVolumeDiscriminator,
    embedding_slab,
    encode_by_slabs,
    image_slab,
    slab_length,
)


def count(*networks):
    return sum(p.numel() for network in networks for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("size", "exact", "printed"),
    [(64, 57_079_938, 57.07), (128, 57_209_762, 57.20), (256, 57_244_594, 57.24)],
)
def test_parameters_of_crf_gan(size, exact, printed):
    """The exact count, which the paper prints in millions cut to two digits."""
    with torch.device("meta"):
        total = count(Generator(size), SubVolumeDiscriminator(size), HalfEncoder(), MeanFieldCRF(num_nodes=size // 4))
    assert total == exact
    assert int(total / 1e4) / 100 == printed


@pytest.mark.parametrize(
    ("size", "exact", "printed"), [(64, 78_672_324, 78.7), (128, 79_583_972, 79.58), (256, 79_744_884, 79.74)]
)
def test_parameters_of_ha_gan(size, exact, printed):
    """The exact count; the paper prints 78.7 M for what is 78.67 M, and cuts the others to two digits."""
    with torch.device("meta"):
        total = count(HierarchicalGenerator(size), HierarchicalDiscriminator(size), HalfEncoder(), SubEncoder(size))
    assert total == exact
    assert printed in (int(total / 1e4) / 100, round(total / 1e6, 1))


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512, 1024])
def test_shapes_of_ha_gan_at_every_size(size):
    with torch.device("meta"):
        generator, encoder, sub_encoder = HierarchicalGenerator(size), HalfEncoder(), SubEncoder(size)
        discriminator = HierarchicalDiscriminator(size, num_classes=3)
        embedding = generator.embed(torch.empty(2, 1024))
        low = generator.decode_low(embedding)
        assert low.shape == (2, 1, size // 4, size // 4, size // 4)
        logit, classes = discriminator(generator.decode(embedding_slab(embedding, 0)), low, 0)
        assert logit.shape == (2, 1)
        assert classes.shape == (2, 3)
        volume = torch.empty(2, 1, size, size, size)
        assert encode_by_slabs(encoder, volume).shape == embedding.shape
        reconstructor = Reconstructor(generator, encoder, sub_encoder)
        assert reconstructor.encode(volume).shape == (2, 1024)
        assert reconstructor(volume).shape == volume.shape


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512, 1024])
def test_shapes_at_every_size(size):
    """Forward passes on torch's meta device: all shapes, no arithmetic."""
    with torch.device("meta"):
        generator, encoder = Generator(size), HalfEncoder()
        discriminator = SubVolumeDiscriminator(size, num_classes=3)
        latent = torch.empty(2, 1024)
        embedding = generator.embed(latent)
        assert embedding.shape == (2, 64, size // 4, size // 4, size // 4)
        volume = generator(latent)
        assert volume.shape == (2, 1, size, size, size)
        assert encoder(volume).shape == embedding.shape
        for start in (0, 7 * size // 8):
            slab = generator.decode(embedding_slab(embedding, start))
            assert slab.shape == image_slab(volume, start).shape == (2, 1, slab_length(size), size, size)
            assert encoder(slab).shape == embedding_slab(embedding, start).shape
            logit, classes = discriminator(slab, start)
            assert logit.shape == (2, 1)
            assert classes.shape == (2, 3)


@pytest.mark.parametrize(
    ("size", "sides"), [(64, [4, 8, 16, 16, 16]), (256, [4, 8, 16, 32, 64]), (512, [4, 8, 16, 32, 64, 128])]
)
def test_stages_double_until_a_quarter(size, sides):
    with torch.device("meta"):
        generator = EmbeddingGenerator(size)
        seen = []
        for stage in generator.stages:
            stage.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[2]))
        generator(torch.empty(1, 1024))
    assert seen == sides


def test_values_and_classes():
    torch.manual_seed(0)
    generator = Generator(32, latent_dim=16, base_channels=8, num_classes=2)
    latent = torch.randn(1, 16)
    first = generator(latent, torch.tensor([0]))
    second = generator(latent, torch.tensor([1]))
    assert first.abs().max() <= 1
    assert not torch.equal(first, second)
    with pytest.raises(ValueError, match="class index"):
        generator(latent)


def test_slabs_of_image_and_embedding_cover_the_same_slices():
    """But for the statistics of normalisation, a slab decodes to what the whole gives there, away from its ends."""
    torch.manual_seed(0)
    decoder = SubVolumeDecoder(8)
    decoder[0][1] = torch.nn.Identity()  # without statistics, equality is exact
    embedding = torch.randn(1, 16, 16, 16, 16)
    whole = decoder(embedding)
    for start in (0, 5, 24, 56):
        slab = decoder(embedding_slab(embedding, start))
        aligned = image_slab(whole, start - start % 4)
        torch.testing.assert_close(slab[:, :, 3:-3], aligned[:, :, 3:-3], rtol=0, atol=1e-5)


def test_discriminator_sees_the_position_and_is_1_lipschitz_per_layer():
    torch.manual_seed(0)
    discriminator = SubVolumeDiscriminator(32, channels=64)
    slab = torch.randn(2, 1, 4, 32, 32)
    for _ in range(20):  # power iterations
        discriminator(slab, 0)
    discriminator.eval()
    assert not torch.equal(discriminator(slab, 0)[0], discriminator(slab, 28)[0])
    for module in discriminator.modules():
        if isinstance(module, torch.nn.Conv3d | torch.nn.Linear):
            assert torch.linalg.matrix_norm(module.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("size", [0, 16, 48, 100, 2048])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match=f"image_size is {size}, expected a power of two"):
        Generator(size)


def test_both_branches_of_the_discriminator_count_half():
    torch.manual_seed(0)
    discriminator = HierarchicalDiscriminator(32, channels=64, num_classes=2).eval()
    slab, low = torch.randn(2, 1, 4, 32, 32), torch.randn(2, 1, 8, 8, 8)
    logit, classes = discriminator(slab, low, 7)
    of_slab = SubVolumeDiscriminator.forward(discriminator, slab, 7)
    of_low = discriminator.low(low)
    torch.testing.assert_close(logit, (of_slab[0] + of_low[:, :1]) / 2)
    torch.testing.assert_close(classes, (of_slab[1] + of_low[:, 1:]) / 2)


def test_reconstruction_goes_through_slabs_of_the_half_encoder():
    torch.manual_seed(0)
    generator, encoder = Generator(32, 16, 8), HalfEncoder(8)
    sub_encoder = SubEncoder(32, 16, base_channels=8, channels=64)
    volume = torch.randn(2, 1, 32, 32, 32)
    pieces = [encoder(volume[:, :, i : i + 4]) for i in range(0, 32, 4)]
    expected = generator(sub_encoder(torch.cat(pieces, dim=2)))
    torch.testing.assert_close(Reconstructor(generator, encoder, sub_encoder)(volume), expected)
