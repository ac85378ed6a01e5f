"""What the options of Progressive GAN of volumes do, a sentence each."""

from __future__ import annotations

from tools.catalogue.diffusion.options import COMPARED
from tools.catalogue.progressive.options import OPTIONS as SLICES
from tools.catalogue.stylegan3d.options import OPTIONS as STYLEGAN3D
from tools.catalogue.volume_gan.options import OPTIONS as VOLUME_GAN

OPTIONS = {
    "train": {
        "image_size": "voxels a side of a volume: a power of two from 8 to 256",
        "validation_subsets": VOLUME_GAN["train"]["validation_subsets"],
        **{id: SLICES["train"][id] for id in ("training_images", "max_epochs")},
        "growth": "number of the first level, 0 of 4 voxels a side, 1 of 8 and so on; volumes for which each stays, "
        "and over which it fades in",
        **{id: SLICES["train"][id] for id in ("batch_size", "largest_batch", "latent_dim")},
        "channel_base": "channels of both networks at a side, times the side",
        "channel_max": "but at most so many",
        "implementation": "`optimised`, or `reference`: volumes are doubled and halved apart from convolutions; "
        "slower, for comparisons",
        **{id: SLICES["train"][id] for id in ("penalty", "drift", "ema_decay", "learning_rates", "rates")},
    },
    "inference": {id: STYLEGAN3D["inference"][id] for id in ("num_volumes", "seed", "field_of_view", "dataset_dir")},
    "evaluate": COMPARED,
}
