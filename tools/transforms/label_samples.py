"""Label maps in the place of images, for generators of label maps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch

from tools.transforms.channels import Channels


class LabelsAlone:
    """Make of a stored sample with an image one whose image is its label channels.

    Args:
        channels: channels of the sample that is made, labels alone.
        body: name of the class of all pixels of no other class where the image is brighter than background, which no
            file has; None for none.

    Raises:
        ValueError: the channels have an image, or no class of that name.
    """

    def __init__(self, channels: Channels, body: str | None = None) -> None:
        if channels.images or (body is not None and body not in channels.labels):
            raise ValueError(
                f"a sample of labels alone has images {[*channels.images]} and classes {[*channels.labels]}; expected "
                f"no image, and the class {body!r}: name it in --labels with a value that the files do not have, or "
                "give --body None"
            )
        self.channels = channels
        self.body = body

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A sample of "image" [images, H, W] in [-1, 1], "label" [1, H, W] and "known" [classes] -> with "image"
        [label channels, H, W] in [-1, 1].
        """
        d = dict(data)
        label, known = d["label"], d["known"].clone()
        if self.body is not None:
            number = [*self.channels.labels].index(self.body)
            inside = (d["image"] > -1).any(0, keepdim=True) & (label == 0)
            label = torch.where(inside, number + 1, label).to(label.dtype)
            known[number] = True
        d["image"] = self.channels.join(None, label[None], known[None])[0]
        return d | {"label": label, "known": known}
