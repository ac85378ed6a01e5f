"""The CRF against mean field written with plain loops, and its gradient against finite differences."""

import math

import pytest
import torch

from tools.layers.crf import MeanFieldCRF, axial_nodes, axial_similarity


def mean_field_with_loops(features, unary, weight, iterations):
    """The update of Li and Ping (2018), spelled out for one sample with lists of floats."""
    nodes = len(features)

    def cosine(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))

    logits = list(unary)
    for _ in range(iterations):
        updated = []
        for i in range(nodes):
            message = 0.0
            for j in range(nodes):
                potential = cosine(features[i], features[j]) * (weight[i][j] + weight[j][i]) / 2
                probability = 1 / (1 + math.exp(-logits[j]))
                message += probability * potential - (1 - probability) * potential
            updated.append(unary[i] + message)
        logits = updated
    return logits


@pytest.fixture
def crf():
    torch.manual_seed(0)
    crf = MeanFieldCRF(num_nodes=5, iterations=10).double()
    torch.nn.init.normal_(crf.weight, std=0.7)
    return crf


def test_equals_plain_loops(crf):
    features, unary = torch.randn(3, 5, 7).double(), torch.randn(3, 5).double()
    logits = crf(features, unary)
    for b in range(3):
        expected = mean_field_with_loops(features[b].tolist(), unary[b].tolist(), crf.weight.tolist(), 10)
        assert logits[b].tolist() == pytest.approx(expected, abs=1e-10)


def test_one_logit_serves_every_node(crf):
    features, logit = torch.randn(2, 5, 7).double(), torch.randn(2, 1).double()
    assert torch.equal(crf(features, logit), crf(features, logit.repeat(1, 5)))


def test_gradient(crf):
    features = torch.randn(2, 5, 4).double().requires_grad_()
    unary = torch.randn(2, 5).double().requires_grad_()

    def refined(f, u, weight):
        return torch.func.functional_call(crf, {"weight": weight}, (f, u))

    assert torch.autograd.gradcheck(refined, (features, unary, crf.weight.detach().clone().requires_grad_()))


def test_starts_as_the_identity():
    unary = torch.randn(2, 8)
    assert torch.equal(MeanFieldCRF(8)(torch.randn(2, 8, 3), unary), unary)


def test_blank_region_stays_finite():
    """A node without features (an empty slice) must not turn the logit into NaN."""
    crf = MeanFieldCRF(4)
    torch.nn.init.ones_(crf.weight)
    features = torch.randn(1, 4, 6)
    features[0, 2] = 0
    assert crf(features, torch.randn(1, 4)).isfinite().all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_similarity_of_slices_is_that_of_nodes(layout):
    """Values and gradients, and a blank slice has neither similarity nor NaN."""
    embedding = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64).to(memory_format=layout)
    embedding[1, :, 2] = 0
    embedding.requires_grad_()
    nodes = torch.nn.functional.normalize(axial_nodes(embedding), dim=2)
    towards = torch.randn(2, 4, 4, dtype=torch.float64)
    expected, found = nodes @ nodes.mT, axial_similarity(embedding)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(found, embedding, towards)
    (correct,) = torch.autograd.grad(expected, embedding, towards)
    assert gradient.isfinite().all()
    seen = torch.ones(2, 1, 4, 1, 1, dtype=torch.bool)
    seen[1, :, 2] = False  # where a direction does not exist, nor does its gradient
    torch.testing.assert_close(gradient * seen, correct * seen, rtol=0, atol=1e-10)


def test_similarity_of_large_slices_in_half_precision():
    """Sums of squares of a slice are far outside the range of fp16."""
    embedding = 2 * torch.rand(1, 8, 3, 128, 128)
    with torch.autocast("cpu", torch.float16):
        found = axial_similarity(embedding)
    torch.testing.assert_close(found, axial_similarity(embedding), rtol=0, atol=5e-3)


def test_nodes_are_axial_slices():
    embedding = torch.randn(2, 3, 4, 5, 6)
    nodes = axial_nodes(embedding)
    for a in range(4):
        assert torch.equal(nodes[:, a], embedding[:, :, a].reshape(2, -1))


def test_wrong_number_of_nodes_is_named():
    with pytest.raises(ValueError, match=r"\[batch, 4, dimensions\], got \(1, 5, 2\)"):
        MeanFieldCRF(4)(torch.randn(1, 5, 2), torch.randn(1, 5))
