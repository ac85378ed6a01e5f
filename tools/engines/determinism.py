"""Whether a training gives the same result each time, or is as fast as the GPU allows."""

from __future__ import annotations

import torch
from monai.utils import set_determinism


def seeded(seed: int, deterministic: bool = True) -> None:
    """Seed all random numbers; on a GPU, let cuDNN choose between what is repeatable and what is fast.

    With ``deterministic`` a seed gives the same result on the same machine, to the last bit. Without it cuDNN times its
    algorithms on the first batch of each shape and takes the fastest, whose sums may come in another order every time:
    the random numbers are the same, results differ by rounding, which a long training makes visible. The CPU computes
    the same either way.

    Args:
        seed: seed of Python's, NumPy's and torch's random numbers.
        deterministic: False for speed.
    """
    set_determinism(seed=seed)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = not deterministic
