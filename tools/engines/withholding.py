"""What keeps real images from all updates but the one whose gradient of them is private."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from tools.engines.update import Update


class Withheld(dict):
    """What an update that is not private sees of a batch: its own random numbers, whose names begin with its own.

    Args:
        batch: batch as the objective has drawn it.
        update: name of the update.
        private: name of the private one.
    """

    def __init__(self, batch: Mapping[str, Any], update: str, private: str) -> None:
        super().__init__({key: value for key, value in batch.items() if key.startswith(f"{update}_")})
        self._says = f"the update '{update}' asks for {{!r}} of a batch, but where '{private}' is private no other sees"

    def __missing__(self, key: str) -> Any:
        raise ValueError(f"{self._says.format(key)} real images or what follows from them. Train without --epsilon")


def private_among(updates: Sequence[Update], accumulation: int, precision: str) -> Update | None:
    """The private update of several; None where there is none.

    Raises:
        ValueError: something by which one person's image would change more than its own part of the gradient, or by
            which real images would tell more than the gradient does.
    """
    private = [update for update in updates if update.private is not None]
    if not private:
        return None
    update = private[0]
    batch_norms = [
        name
        for name, network in update.networks.items()
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    ]
    doubts = []
    if len(private) > 1:
        doubts.append(f"'{private[1].name}' is too, and what both cost adds up")
    if batch_norms:
        doubts.append(
            f"{', '.join(batch_norms)} has batch normalisation, by which an image's verdict depends on the others; "
            "give --discriminator_def#norm layer"
        )
    if update.rests is not None:
        doubts.append("it rests by what real images of a batch show")
    if accumulation > 1:
        doubts.append(f"--accumulation is {accumulation}; images pass one by one in any case, leave it 1")
    if precision == "fp16":
        doubts.append("--precision is fp16, which leaves steps out by what real images show; take bf16 or fp32")
    if doubts:
        raise ValueError(f"the update '{update.name}' cannot be private: {'; '.join(doubts)}")
    return update
