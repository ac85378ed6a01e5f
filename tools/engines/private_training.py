"""A training in which one update alone sees real images, by private gradients, with the epsilon of all of its steps.

For a GAN it is the discriminator's (Jordon et al. 2018, section 3; Xie et al. 2018, DPGAN): what the generator learns
follows from the discriminator, and keeps its guarantee (post-processing). It is of each person, of whom there is one
image, and of adding or removing them. So each person is in a batch by chance, whoever else is (Poisson sampling), and
what else follows from a batch, its size too, is kept from all other updates.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from tools.engines.batches import split
from tools.engines.private import epsilon_of, noise_for, private_gradient
from tools.engines.processes import rank_and_world_size

logger = logging.getLogger(__name__)

Terms = dict[str, Tensor]

PRIVACY = "privacy"
"""Key of the settings in weights and checkpoints that have what `PrivateTraining.statement` says."""


class PoissonBatches(Sampler):
    """Batches for a ``DataLoader``, as its ``batch_sampler``: in each is everybody with the same probability.

    They have other lengths each, and none may be empty for a loader: the last index of each, 0, is nobody's, and
    `PrivateTraining` leaves its row out. Who is drawn follows from no seed, for that would tell.

    Args:
        people: number of images, one of each person.
        batch_size: expected number of images in a batch.
    """

    def __init__(self, people: int, batch_size: int) -> None:
        self.people = people
        self.rate = batch_size / people
        self._batches = people // batch_size
        self._generator = np.random.default_rng()

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(self._batches):
            yield [*np.flatnonzero(self._generator.random(self.people) < self.rate).tolist(), 0]


class PrivateTraining:
    """What makes an `Update` private, and what it costs; hand it to the update as ``private``.

    Args:
        epsilon: epsilon of the whole training, which decides how much noise there is.
        delta: probability with which the bound may fail, below 1 / people.
        max_norm: Euclidean norm C to which the gradient of each person's image is clipped.
        people: number of images to train on.
        subjects: number of persons that they are of.
        batch_size: expected number of images in a batch, by which gradients are divided.
        epochs: number of epochs of the whole training.
        rows: number of samples that other updates take; None for as many as a batch has images.

    Raises:
        ValueError: several images of a person, several processes, updates that follow the batch's size, or a number out
            of its range.

    Attributes:
        batches: batches for the loader.
        statement: numbers by name that weights and checkpoints say of it. It holds for all steps that are planned, so
            also for weights that were chosen among those of several epochs.
    """

    def __init__(
        self,
        epsilon: float,
        delta: float,
        max_norm: float,
        people: int,
        subjects: int,
        batch_size: int,
        epochs: int,
        rows: int | None,
    ) -> None:
        if subjects != people:
            raise ValueError(
                f"--epsilon {epsilon:g} is of one image of each person, but the {people} images are of {subjects} "
                "persons; leave one of each in the data"
            )
        if rank_and_world_size()[1] > 1:
            raise ValueError("--epsilon is for a training by one process: each would add noise for its share alone")
        if rows is None:
            raise ValueError(
                "--objective#rows is None: the generator's update would take as many samples as people are in the "
                f"batch, and tell who is; expected a fixed number, such as --batch_size, {batch_size}"
            )
        if not (max_norm > 0 and 0 < delta < 1 / people):
            raise ValueError(
                f"got --max_norm {max_norm} and --delta {delta}; expected a norm above 0, and a probability far below "
                f"1 / {people} people"
            )
        self.max_norm = max_norm
        self.batch_size = batch_size
        self.batches = PoissonBatches(people, batch_size)
        steps = epochs * len(self.batches)
        self.noise_multiplier = noise_for(epsilon, self.batches.rate, steps, delta)
        self.statement = {
            "epsilon": epsilon_of(self.batches.rate, self.noise_multiplier, steps, delta),
            "delta": delta,
            "noise_multiplier": self.noise_multiplier,
            "max_norm": max_norm,
            "sampling_rate": self.batches.rate,
            "steps": steps,
        }
        self._generator = np.random.default_rng()
        logger.info(
            f"The discriminator learns by private gradients: epsilon {self.statement['epsilon']:.3g} at delta "
            f"{delta:g} for all {steps} steps, with noise of {self.noise_multiplier:.3g} times the norm {max_norm:g}, "
            f"and each of {people} people in a batch with a probability of {self.batches.rate:.3g}."
        )

    def put_gradient(
        self, parameters: Sequence[Tensor], gain: float, batch: dict, rows: int, loss: Callable[[dict], Terms]
    ) -> Terms:
        """Give parameters the private gradient of a batch, whose last row is nobody's.

        Args:
            parameters: parameters of the update.
            gain: factor of the gradient.
            batch: batch as the objective has drawn it.
            rows: number of its rows.
            loss: function of a batch of one row that gives the terms of its loss.

        Returns:
            Terms of the loss, the sums over rows by the expected number of them. They are not private.
        """
        people = [part for part, _ in split(batch, rows, rows)][:-1]
        terms: Terms = {}

        def of_one(number: Tensor) -> Tensor:
            found = loss(people[int(number)])
            for name, term in found.items():
                terms[name] = terms.get(name, 0) + term.detach().float() / self.batch_size
            return sum(found.values())

        numbers = torch.arange(len(people))
        how = (self.max_norm, self.noise_multiplier, self.batch_size, self._generator)
        gradients = private_gradient(of_one, parameters, numbers, *how)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gain * gradient
        return terms


def check_resumed(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """
    Raises:
        ValueError: a checkpoint's settings speak of another privacy than those of the run that goes on from it.
    """
    if then.get(PRIVACY) != now.get(PRIVACY):
        raise ValueError(
            f"the checkpoint has the privacy {then.get(PRIVACY)}, and this run {now.get(PRIVACY)}: what either states "
            "would not hold for both together. Give the same data, epochs, --batch_size, --epsilon, --delta and "
            "--max_norm, or begin anew"
        )
