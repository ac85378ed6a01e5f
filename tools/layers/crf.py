"""A fully connected conditional random field over the regions of a feature map, solved by mean field."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MeanFieldCRF(nn.Module):
    """Binary CRF whose nodes are regions of an image (Li and Ping 2018, arXiv 1806.07064, section 2.2).

    Node i carries a label y_i in {-1, +1} (generated, real). Its unary potential is a logit u_i, its pairwise
    potential with node j is ``p_ij = cos(f_i, f_j) * W_ij`` with node features f and a learned symmetric W. Mean
    field replaces every neighbour by its expectation, E[y_j] = 2 sigmoid(l_j) - 1 = tanh(l_j / 2), and repeats

        l_i <- u_i + sum_j p_ij tanh(l_j / 2),      l_i starts at u_i.

    As in the code released with that paper the sum keeps j = i, so that the diagonal of W is used: it is each
    node's trust in its own logit. W starts at zero, where the CRF hands the unary logits through.

    Args:
        num_nodes: number of nodes n; W has n x n learnable weights.
        iterations: mean-field iterations, 10 in the paper.
    """

    called_parts = ("mean_field",)

    def __init__(self, num_nodes: int, iterations: int = 10) -> None:
        super().__init__()
        if num_nodes < 1 or iterations < 1:
            raise ValueError(f"a CRF needs at least 1 node and 1 iteration, got {num_nodes} and {iterations}.")
        self.num_nodes = num_nodes
        self.iterations = iterations
        self.weight = nn.Parameter(torch.zeros(num_nodes, num_nodes))

    def forward(self, features: Tensor, unary: Tensor) -> Tensor:
        """Refine the nodes' logits by what similar nodes say.

        Args:
            features: node features, [batch, nodes, dimensions].
            unary: logits of each node alone, [batch, nodes] (or [batch, 1], the same for every node).

        Returns:
            Logits after mean field, [batch, nodes].
        """
        if features.ndim != 3 or features.shape[1] != self.num_nodes:
            raise ValueError(
                f"expected node features [batch, {self.num_nodes}, dimensions], got {tuple(features.shape)}."
            )
        directions = F.normalize(features, dim=2)
        return self.mean_field(directions @ directions.mT, unary)

    def mean_field(self, similarity: Tensor, unary: Tensor) -> Tensor:
        """Refine logits as ``forward``, from the nodes' cosine similarities [batch, nodes, nodes]."""
        if similarity.shape[1:] != (self.num_nodes, self.num_nodes):
            raise ValueError(
                f"expected similarities [batch, {self.num_nodes}, {self.num_nodes}], got {tuple(similarity.shape)}."
            )
        pairwise = similarity * (0.5 * (self.weight + self.weight.mT))
        unary = unary.expand(-1, self.num_nodes)
        logits = unary
        for _ in range(self.iterations):
            logits = unary + (pairwise @ torch.tanh(0.5 * logits).unsqueeze(2)).squeeze(2)
        return logits


def axial_nodes(embedding: Tensor) -> Tensor:
    """One node per axial slice of an embedding: [batch, channels, A, H, W] -> [batch, A, channels * H * W].

    The paper speaks of regions of the image; see ``channel_nodes`` for what its code does.
    """
    return embedding.transpose(1, 2).flatten(2)


def channel_nodes(embedding: Tensor, num_nodes: int) -> Tensor:
    """Nodes as the released code forms them: [batch, channels, A, H, W] -> [batch, num_nodes, ...].

    Channels are not moved away before the reshape, so that a node is a group of channels, each of the whole volume: at
    256 voxels a side, with 64 of both, one channel.
    """
    return embedding.flatten(1).unflatten(1, (num_nodes, -1))


def axial_similarity(embedding: Tensor) -> Tensor:
    """Cosine similarity of an embedding's axial slices: [batch, channels, A, H, W] -> [batch, A, A].

    That of ``axial_nodes``; but in the channels-last layout, nothing as large as the embedding is copied.
    """
    slices = embedding.movedim(1, -1).flatten(2)  # [batch, A, H * W * channels]
    # means of products: sums would leave the range of fp16
    other = slices.detach().mT
    products = torch.baddbmm(slices.new_zeros(1, 1, 1), slices, other, beta=0, alpha=1 / slices.shape[2])
    # the same value with the gradient of both factors, which the backward pass then multiplies once and not twice
    products = products + products.mT - products.detach()
    products = products.to(torch.promote_types(products.dtype, torch.float32))
    lengths = products.diagonal(dim1=1, dim2=2).clamp_min(1e-24).sqrt()  # a blank slice is like no other
    return products / (lengths.unsqueeze(1) * lengths.unsqueeze(2))
