"""The cost of training as the paper prints it, to stand beside our own measurements."""

from __future__ import annotations

SOURCE = (
    'Shiri et al., "Comparative clinical evaluation of memory-efficient synthetic 3D generative adversarial networks '
    '(GAN) head-to-head to state of art: results on computed tomography of the chest", Tables 3 and 4 and section '
    "3.3.1, measured on a TITAN V with 12 GB; the precision is not stated"
)

DOES_NOT_FIT = "-"
"""A case that exceeds the machine's memory, as Table 4 marks it."""

PARAMETERS = {
    "crf_gan_luna16": {64: 57_070_000, 128: 57_200_000, 256: 57_240_000},
    "ha_gan_luna16": {64: 78_700_000, 128: 79_580_000, 256: 79_740_000},
}
"""Table 3: learnable parameters by bundle and image size. Printed in millions, with two digits."""

MEMORY = {
    "crf_gan_luna16": {
        (128, 2): 2622,
        (128, 4): 2712,
        (128, 6): 2774,
        (256, 2): 7494,
        (256, 4): 9010,
        (256, 6): DOES_NOT_FIT,
    },
    "ha_gan_luna16": {
        (128, 2): 2812,
        (128, 4): 2984,
        (128, 6): 3098,
        (256, 2): 7710,
        (256, 4): 10434,
        (256, 6): DOES_NOT_FIT,
    },
}
"""Table 4: peak GPU memory during training in MB, by bundle, image size and batch size."""

SPEED = {
    "crf_gan_luna16": {(128, 2): 4.236, (256, 2): 1.394},
    "ha_gan_luna16": {(128, 2): 3.845, (256, 2): 1.216},
}
"""Section 3.3.1: training iterations per second, mean of 1000, by bundle, image size and batch size."""


def printed(table: str, bundle: str, image_size: int, batch_size: int | None) -> float | str | None:
    """The paper's value: a number, ``DOES_NOT_FIT``, or None where it has none."""
    if table == "parameters":
        return PARAMETERS.get(bundle, {}).get(image_size)
    return {"memory": MEMORY, "speed": SPEED}[table].get(bundle, {}).get((image_size, batch_size))
