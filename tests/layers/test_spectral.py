"""The spectral normalisation of `tools.layers.spectral` against torch's own."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from tools.layers.spectral import SpectralConv2d, SpectralDoublingConv2d


def pair():
    """The same convolution twice, by torch and by the layer, at the same point of the power iteration."""
    torch.manual_seed(0)
    ours = SpectralConv2d(3, 5, 4, stride=2, padding=1).double()
    plain = nn.Conv2d(3, 5, 4, stride=2, padding=1, bias=False).double()
    plain.weight.data.copy_(ours.weight.data)
    theirs = spectral_norm(plain)
    power = theirs.parametrizations.weight[0]
    power._u.copy_(ours.u)
    power._v.copy_(nn.functional.normalize(ours.weight.data.flatten(1).t() @ ours.u, dim=0))
    return ours, theirs


def test_values_and_gradients_are_torchs_over_several_passes():
    ours, theirs = pair()
    for _ in range(3):
        x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
        results = []
        for network, weight in ((ours, ours.weight), (theirs, theirs.parametrizations.weight.original)):
            made = network(x)
            results.append((made, torch.autograd.grad((made**2).sum(), weight)[0]))
        torch.testing.assert_close(*results)
    for network in (ours, theirs):
        network.eval()
    torch.testing.assert_close(ours(x), theirs(x))


def test_the_largest_singular_value_becomes_one():
    torch.manual_seed(0)
    layer = SpectralConv2d(4, 6, 3)
    for _ in range(200):
        layer.iterate()
    found = torch.linalg.svdvals(layer.eval().normalised().flatten(1))
    assert abs(found[0].item() - 1) < 1e-5


def test_evaluation_changes_nothing_and_two_passes_share_a_graph():
    layer = SpectralConv2d(2, 3, 3)
    x = torch.randn(1, 2, 5, 5)
    (layer(x).sum() + layer(x).sum()).backward()
    assert layer.weight.grad.isfinite().all()
    before = layer.eval().u.clone()
    layer(x)
    assert torch.equal(layer.u, before)


def test_doubling_and_convolution_are_one_operation():
    torch.manual_seed(0)
    layer = SpectralDoublingConv2d(3, 4).double().eval()
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    fused = layer(x)
    layer.fuse_from = float("inf")
    torch.testing.assert_close(fused, layer(x))
    doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(fused, nn.functional.conv2d(doubled, layer.normalised(), padding=1))
