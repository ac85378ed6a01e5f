"""Former name of `tools.losses.mind`: in configs and programs it works for one version, with a warning."""

import warnings

from tools.losses.mind import mind_loss as structure_loss
from tools.losses.mind import volume_mind_loss as volume_structure_loss

__all__ = ["structure_loss", "volume_structure_loss"]

warnings.warn(
    "tools.losses.structure is now tools.losses.mind, and the old name goes with the next version. Write the new one.",
    FutureWarning,
    stacklevel=2,
)
