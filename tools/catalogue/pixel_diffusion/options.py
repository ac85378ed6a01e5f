"""What the options of diffusion on the pixels of slices do, a sentence each."""

from __future__ import annotations

from tools.catalogue.diffusion.options import EVALUATED_IN_PRECISION, IN_PRECISION
from tools.catalogue.slices.options import OPTIONS as SLICES

SAMPLING = {
    "sampler": "how samples are made: `ddim`, `pndm`, or `ddpm` with all steps",
    "steps": "steps from noise to a sample",
    "eta": "share of fresh noise in every step of DDIM",
    "guidance": "weight of the class: 1 for that of the network, 0 for none, above 1 for more",
}

OPTIONS = {
    "train": {
        **SLICES["train"],
        "iterations": "at least so many iterations, in the place of `max_epochs`",
        "network_channels": "width of each level of the network, of which all but the first halve the slice",
        "num_res_blocks": "residual blocks of each level",
        "prediction": "what the network predicts: the noise, `epsilon`; `v`; or a `flow`, whose `sampler` is null",
        "num_train_timesteps": "steps of the schedule",
        "noise_schedule": "`linear_beta`, `cosine`, `scaled_linear_beta` or `sigmoid_beta`",
        **SAMPLING,
        "learning_rates": "of the one update",
        "half_life": "of the averaged network, in images",
        "ramp_up": "share of the images seen so far to which `half_life` is limited",
        "drop_class": "probability with which a class is withheld, for guidance",
        "label_weight": "weight of the squared error in label channels, relative to that in images",
        "mirror": "share of the slices that are mirrored left for right",
    },
    "inference": {**SLICES["inference"], **SAMPLING, **IN_PRECISION},
    "evaluate": SLICES["evaluate"] | EVALUATED_IN_PRECISION,
}
