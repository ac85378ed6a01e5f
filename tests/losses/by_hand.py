"""The formulas of the hierarchical GANs, written out on plain numbers and slices."""

import math

SIZE, LATENT, BATCH = 32, 16, 3


def log_sigmoid(x):
    return math.log(1 / (1 + math.exp(-x)))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def slab_of(volume, start):
    return volume[:, :, start : start + SIZE // 8]


def generated(objective, latent, start, label=None):
    """G1's embedding, and G2 of its slices [start // 4, start // 4 + S/32)."""
    embedding = objective.generator.embed(latent, label)
    return embedding, objective.generator.decode(embedding[:, :, start // 4 : start // 4 + SIZE // 32])


def cross_entropy(logits, labels):
    """Mean over rows of log(sum(exp(row))) - row[label]."""
    return mean(
        math.log(sum(math.exp(x) for x in row)) - row[label]
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    )
