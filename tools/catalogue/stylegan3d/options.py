"""What the options of 3D-StyleGAN do, a sentence each."""

from __future__ import annotations

from tools.catalogue.diffusion.options import COMPARED, ENLARGED
from tools.catalogue.diffusion.options import OPTIONS as DIFFUSION
from tools.catalogue.stylegan2.options import OPTIONS as STYLEGAN2

OF_STYLES = {
    "truncation": "1 leaves styles as they are, less makes volumes more typical and less varied",
    "truncated_layers": "layers, from the coarsest on, of which that holds; null: all",
}

OPTIONS = {
    "train": {
        "image_size": "rows of a volume, in voxels",
        "volume_size": "slices, rows and columns of a volume, in voxels",
        "images": DIFFUSION["train"]["images"],
        "labels": DIFFUSION["train"]["labels"],
        **{id: STYLEGAN2["train"][id] for id in ("iterations", "implementation", "latent_dim", "style_dim")},
        "mapping_layers": "layers between latent vector and style",
        "network_width": "channels of both networks at every resolution",
        "doublings": "how often the learned grid is doubled: it is the volume's size divided by 2 as often",
        "discriminator_def#residual": "true for residual blocks, false for blocks without a second way",
        **OF_STYLES,
        "gamma": "weight of R1",
        **{id: STYLEGAN2["train"][id] for id in ("path_length_weight",)},
        "style_mixing": "probability that a volume has two styles",
        **{id: STYLEGAN2["train"][id] for id in ("lazy", "half_life", "ramp_up", "learning_rates")},
    },
    "inference": {
        "num_volumes": "how many volumes are made",
        "seed": "of the first volume; the others have the following ones",
        **OF_STYLES,
        **ENLARGED,
        "field_of_view": "extent of a volume in mm, axial first",
        "dataset_dir": "not used: volumes are made from seeds",
    },
    "evaluate": COMPARED,
}
