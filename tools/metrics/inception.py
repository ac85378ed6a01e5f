"""The inception score: confident, varied classifications (Salimans et al. 2016; report D2.2, section 6.1)."""

from __future__ import annotations

import numpy as np
import torch


def inception_score(probabilities: np.ndarray | torch.Tensor, splits: int = 1) -> float:
    """exp of the mean divergence of each image's class probabilities from their mean over images.

    It needs no real images and says nothing about likeness to any: a classifier of photographs sees CT as few classes.

    Args:
        probabilities: [images, classes], rows that sum to 1.
        splits: parts, in order, whose scores are averaged.

    Returns:
        The score, from 1, for equal rows, to the number of classes.

    Raises:
        ValueError: rows that are no probabilities, or fewer images than splits.
    """
    p = np.asarray(torch.as_tensor(probabilities).detach().cpu(), np.float64)
    if p.ndim != 2 or not np.isfinite(p).all() or p.min() < 0 or not np.allclose(p.sum(1), 1, atol=1e-3):
        raise ValueError(
            f"expected probabilities [images, classes] that are not negative and sum to 1 in every row, got shape "
            f"{p.shape}; apply softmax to logits"
        )
    if not 1 <= splits <= len(p):
        raise ValueError(f"{len(p)} images cannot be divided into {splits} splits")
    scores = []
    for i in range(splits):
        part = p[i * len(p) // splits : (i + 1) * len(p) // splits]
        ratio = np.log(np.where(part > 0, part, 1)) - np.log(np.where(part > 0, part.mean(0), 1))
        scores.append(np.exp((part * ratio).sum(1).mean()))
    return float(np.mean(scores))
