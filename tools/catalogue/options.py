"""What the options of the bundles' configs do: a sentence each, said once, and the tables of them in READMEs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]

STRUCTURE = {
    *("imports", "initialize", "run", "finalize", "scales", "defaults", "settings", "compress", "train", "validate")
}
"""Ids that hold a config together: no options, though they are written out."""

RENAMED = {"plain": "implementation", "lean": "checkpointing", "structure_weight": "mind_weight"}
"""Former name of an option -> its name. For one version the former names work too, with a warning."""

PLACES = {
    "bundle_root": "folder in which the bundle keeps `models`, `eval`, `phantoms` and `cache`",
    "output_dir": "where results go",
    "device": "`cpu`, `cuda`, `cuda:1`, ...",
}
TRAIN = {
    "dataset_dir": "folder with the data, see above; without it phantoms are made",
    "image_size": "side of what the networks see, in voxels or pixels",
    "max_epochs": "length of the training",
    "batch_size": "of each process",
    "accumulation": "parts into which a batch is split to save memory",
    "precision": "`fp32`, `bf16` or `fp16`",
    "seed": "of every random number of the training",
    "resume": "`auto` goes on from the newest whole checkpoint; or the file of one",
    "val_interval": "epochs between validations",
    "save_interval": "epochs between checkpoints",
    "betas": "of Adam",
    "num_workers": "processes that read data",
    "window": "grey values or HU that stand for -1 and 1",
    "phantoms": "number, seed and voxels of the phantoms, and what they show",
}
PLACES_OF_TRAINING = {
    **PLACES,
    "ckpt_dir": "where weights and checkpoints go",
    "cache_dir": "where preprocessed data are kept",
}
INFERENCE = {"ckpt_path": "the weights"}
EVALUATE = {
    "ckpt_path": "the weights",
    "features": "where distances are taken: `untrained`, `untrained-slices`, `radiomics`, `medicalnet`, `inception`",
    "weights": "file or folder with the weights of `medicalnet` and `inception`; downloaded without it",
    "resamples": "bootstrap samples behind an interval",
}
GAN = {
    "train": {
        "iterations": "at least so many iterations, in the place of `max_epochs`",
        "num_classes": "trains by class if above 0",
        "labels": "table with columns `id` and `label`, for training by class",
        "validation_subsets": "subsets of LUNA16 that are for validation",
        "learning_rates": "of each update",
        "ema_decay": "of the averaged generator; 0 takes the last weights",
        "crf_nodes": "`slices`, or `channels` as in the released code",
        "crf_iterations": "over which the CRF's share falls to 0; null: over the run that is made",
        "objective#feedback": "how the generator hears D and the CRF: `blend`, or `sum` as in Eq. 1",
        "objective#crf_weight": "the CRF's share at the first iteration",
        "objective#discriminator_class_weight": "of the auxiliary classifier in D's loss",
        "objective#generator_class_weight": "of the auxiliary classifier in the generator's loss",
        "latent_dim": "size of the latent vector",
        "base_channels": "width of the generator",
        "discriminator_channels": "width of the discriminator's widest layer",
        "sub_encoder_channels": "width of the sub-encoder's widest layer",
        "implementation": "`optimised`, or `reference`: step by step as the released code does, for comparisons; "
        "slower, with more memory; it brings back what is said above and no more",
        "compile": "compiles what the losses call of the networks by TorchInductor, which needs a C++ compiler and "
        "minutes before the first step; on a CPU, at 32 voxels, no faster",
        "checkpointing": "saves memory: volumes go one after the other, and GL's activations are computed again in the "
        "backward pass",
    },
    "inference": {
        "num_volumes": "how many volumes are made",
        "seed": "of the first volume; the others have the following ones",
        "class_label": "class of all volumes, for weights that were trained by class",
        "slab_length": "slices that are made at a time, to save memory; 0: all at once",
        "field_of_view": "extent of a volume in mm, axial first",
        "dataset_dir": "not used: volumes are made from seeds",
    },
    "reconstruct": {
        "dataset_dir": "folder with the volumes to be reconstructed",
        "class_label": "class in which they are generated again, for weights that were trained by class",
        "encoders_path": "weights of the encoders",
    },
    "evaluate": {
        "reference": "what is compared with: `validation`, or `training` as the released code does",
        "num_synthetic": "how many volumes are made for the comparison",
    },
}
TRANSLATION = {
    "train": {
        "mr_dir": "folder with MR of your own, in the place of the dataset's",
        "ct_dir": "folder with CT of your own, in the place of the dataset's",
        "extra_mr_dir": "folder with more T1 volumes to train on",
        "axial_range": "part of whole-body CT that is used: `abdomen`, or two positions in mm",
        "constant_epochs": "epochs before the rate begins to fall",
        "load_size": "pixels to which slices are resized before they are cropped to `image_size`",
        "field_of_view": "extent of the slices in mm; null: each scan's own",
        "slices": "neighbouring slices that are translated together, see thin slabs",
        "channels": "width of the generators",
        "discriminator_channels": "width of the discriminators' first layer",
        "learning_rate": "of both updates, until it falls",
        "mind_weight": "weight of the MIND loss, see above",
        "second_window": "second channel for the discriminator of CT, in HU, see above",
        "objective#cycle_weight": "of the cycle loss",
        "objective#identity_weight": "of the identity loss, as a share of the cycle loss",
        "objective#pool_size": "past images that the discriminators see again",
        "objective#flip": "share of slices that are flipped left for right",
        "compile": "compiles the networks, see above",
        "modalities": "contrasts of MR that go in; others make another bundle, see `python -m tools new`",
    },
    "inference": {
        "dataset_dir": "what is translated: a study, a series, a file or a folder of them",
        "dicom": "writes a DICOM series beside the NIfTI",
        "mirror": "translates every slice mirrored too, and keeps the mean",
        "fuse": "takes the mean of all slabs that contain a slice; false: the middle ones",
        "inference_batch_size": "slices that are translated at a time",
        "studies_dir": "where studies are looked for",
        "phantoms": "as in training, where no data are given",
        "modalities": "contrasts that go in; those of the weights",
    },
    "evaluate": {},
}
DIFFUSION = {
    "train": {
        "image_size": "rows of what the network sees, in voxels",
        "volume_size": "slices, rows and columns of what the network sees, in voxels",
        "iterations": "at least so many iterations, in the place of `max_epochs`",
        "images": "scale of each image by its name: a percentile for MR, a window in HU for CT",
        "labels": "value in the files of each class, by its name",
        "network_channels": "width of each level of the network, of which all but the first halve the volume",
        "num_res_blocks": "residual blocks of each level",
        "patch": "side of the patches, in voxels, that the network takes as channels of one place; 2 saves most of its "
        "work",
        "prediction": "what the network predicts: the `flow`, the noise, `epsilon`, or `v`",
        "sampler": "how samples are made unless of a flow: `ddim`, `pndm`, or `ddpm` with all steps",
        "steps": "steps from noise to a sample, in validation and evaluation",
        "learning_rates": "of the one update",
        "half_life": "of the averaged network, in images",
        "ramp_up": "share of the images seen so far to which `half_life` is limited",
        "label_weight": "weight of the squared error in label channels, relative to that in images",
    },
    "inference": {
        "num_volumes": "how many volumes are made",
        "seed": "of the first volume; the others have the following ones",
        "sampler": "how samples are made unless of a flow: `ddim`, `pndm`, or `ddpm` with all steps",
        "steps": "steps from noise to a sample",
        "field_of_view": "extent of a volume in mm, axial first",
        "dataset_dir": "not used: volumes are made from seeds",
    },
    "evaluate": {
        "reference": "what is compared with: `validation` or `training`",
        "num_synthetic": "how many volumes are made for the comparison",
    },
}
LATENT_DIFFUSION = {
    "train": {
        **{id: text for id, text in DIFFUSION["train"].items() if id not in ("label_weight", "patch")},
        "image_size": "rows of a volume, in voxels",
        "volume_size": "slices, rows and columns of a volume, in voxels",
        "window": "grey values or HU that stand for -1 and 1",
        "validation_subsets": "subsets of LUNA16 that are for validation",
        "autoencoder_channels": "width of each level of the autoencoder, of which all but the first halve the volume",
        "latent_channels": "channels of a latent",
        "codebook": "entries of a codebook by which latents are quantised; 0: latents are held by KL",
        "network_channels": "width of each level of the denoiser, of which all but the first halve the latent",
        "num_res_blocks": "residual blocks of each level, of both networks",
        "autoencoder_epochs": "length of the first stage, the autoencoder's",
        "max_epochs": "length of the second stage, the denoiser's",
        "adversarial_start": "epoch of the first stage from which on there is a discriminator",
        "discriminator_channels": "width of the discriminator's first layer",
        "loss_weights": "of the terms of the first stage's loss, see above",
        "medicalnet": "file with MedicalNet's weights, for a distance in its features; null: none",
        "slab_length": "slices that are decoded at a time, which does not change the result; 0: all at once",
        "learning_rates": "of each network",
        "half_life": "of the averaged denoiser, in images",
    },
    "inference": {
        **DIFFUSION["inference"],
        "slab_length": "slices that are decoded at a time, which does not change the result; 0: all at once",
    },
    "evaluate": DIFFUSION["evaluate"],
}
CHEST_FLOW = {
    "train": {
        "image_size": "side of the cubes of voxels in which volumes are kept, and of those that are validated",
        "volume_size": "slices, rows and columns of these",
        "sizes": "voxels along an axis that a view of a volume may have, of which one is drawn in each iteration",
        "whole": "share of the views that show a whole volume; others show a part, at a finer spacing",
        "iterations": DIFFUSION["train"]["iterations"],
        "network_channels": DIFFUSION["train"]["network_channels"],
        "num_res_blocks": DIFFUSION["train"]["num_res_blocks"],
        "patch": DIFFUSION["train"]["patch"],
        "regions": "tells the network which part of the scan a view shows",
        "num_classes": GAN["train"]["num_classes"],
        "labels": GAN["train"]["labels"],
        "drop_class": "share of the volumes whose class is withheld, for guidance",
        "validation_subsets": GAN["train"]["validation_subsets"],
        "steps": DIFFUSION["train"]["steps"],
        "learning_rates": DIFFUSION["train"]["learning_rates"],
        "half_life": DIFFUSION["train"]["half_life"],
        "ramp_up": DIFFUSION["train"]["ramp_up"],
    },
    "inference": {
        "size": "columns, rows and slices of a volume, in the order of a NIfTI's header",
        "spacing": "mm from voxel to voxel along these",
        "num_volumes": "how many volumes are made",
        "seed": "of the first volume; the others have the following ones",
        "steps": "steps from noise to a volume",
        "class_label": GAN["inference"]["class_label"],
        "guidance": "weight of the class; 1 for none beyond the network's own",
        "dicom": "writes a DICOM series beside the NIfTI",
        "dataset_dir": "not used: volumes are made from seeds",
    },
    "evaluate": DIFFUSION["evaluate"],
}
SLICES = {
    "train": {
        "image_size": "pixels a side of the slices",
        "images": "scale of each image by its name: a percentile for MR, a window in HU for CT",
        "labels": "value in the files of each class, by its name",
        "encoding": "how classes are channels: `one_hot`, or a factor of the value in the files, such as 40",
        "classes": "name of each class of slices and labels of which it shows one; the first shows none; `{}` for none",
        "choice": "what a slice must show to be used: an image of which so much is bright, labels of which so much is",
        "balance": "share of samples by the label that they show, such as `{'enhancing tumour': 0.5}`",
        "field_of_view": "side of the slices in mm; null: the longer side of each volume's",
        "val_slices": "slices that a validation makes",
    },
    "inference": {
        "num_volumes": "how many slices are made",
        "seed": "of the first slice; the others have the following ones",
        "class_label": "number of the class of all slices; null: all classes in turn",
        "layout": "`nifti`, `png`, or `dicom` with segmentations",
        "field_of_view": "millimetres of a slice: thickness, rows, columns",
        "dataset_dir": "not used: slices are made from seeds",
    },
    "evaluate": {
        "reference": "what is compared with: `validation` or `training`",
        "image": "which image of the slices is compared",
        "num_real": "real slices that are compared, at most",
        "num_synthetic": "how many slices are made for the comparison",
    },
}
"""Options of all that makes labelled slices."""

SAMPLING = {
    "sampler": "how samples are made: `ddim`, `pndm`, or `ddpm` with all steps",
    "steps": "steps from noise to a sample",
    "eta": "share of fresh noise in every step of DDIM",
    "guidance": "weight of the class: 1 for that of the network, 0 for none, above 1 for more",
}
SLICE_DIFFUSION = {
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
    "inference": {**SLICES["inference"], **SAMPLING},
    "evaluate": SLICES["evaluate"],
}
PUBLISHED = {
    "inference": {
        "num_volumes": "how many volumes are made",
        "seed": "of the first volume; the others have the following ones",
        "size": "voxels of a volume along X, Y and Z",
        "spacing": "their size in mm; a network that is told it makes an image of that",
        "labels": "`made`: a label map is made first, then its image; a folder of label maps: an image of each; "
        "`none`: images alone",
        "anatomy_sizes": "sizes of organs, and of one tumour, in label maps that are made, see above",
        "clean_labels": "takes pieces beside the body, and second pieces of an organ, out of label maps that are made",
        "body_region": "what an image alone shows, of head, chest, abdomen and lower; for weights of the first form",
        "conditions": "what the networks are told, each from 0 to 1, see above",
        "steps": "steps from noise to a sample",
        "mask_steps": "steps from noise to a label map",
        "mask_size": "voxels of a label map that is made, along X, Y and Z",
        "mask_spacing": "their size in mm",
        "num_splits": "parts in which the decoder computes, along Y, to save memory",
        "mask_num_splits": "the same for label maps",
        "slab_length": "slices along X of the last layers that are decoded at a time, to save memory; 0: all at once",
        "layout": "`nifti` or `dicom`",
        "half": "half precision where the published networks have it",
        "dataset_dir": "real volumes to compare with, for `evaluate.json`",
    },
    "evaluate": {},
}
CHEST_CONTROL = {
    "train": {
        **{
            id: CHEST_FLOW["train"][id]
            for id in ("image_size", "volume_size", "sizes", "whole", "iterations", "network_channels")
        },
        **{id: CHEST_FLOW["train"][id] for id in ("num_res_blocks", "patch", "regions", "steps")},
        "images": DIFFUSION["train"]["images"],
        "labels": DIFFUSION["train"]["labels"],
        "control": "`controlnet`, or `concatenation`: label maps as further channels of one network",
        "denoiser_path": "weights of `rflow_luna16` that the ControlNet steers and that stay as they are; without them "
        "its denoiser is trained beside it",
        "learning_rates": "of both updates",
        "half_life": DIFFUSION["train"]["half_life"],
        "ramp_up": DIFFUSION["train"]["ramp_up"],
    },
    "inference": {
        "dataset_dir": "folder of label maps, see above; without it the phantoms of the training",
        "size": "columns, rows and slices into which a label map's extent is divided; its own without it",
        "num_volumes": "how many volumes are made",
        "seed": "of the first volume; the others have the following ones",
        "steps": "steps from noise to a volume",
        "dicom": "writes DICOM series with segmentations in the place of NIfTI",
    },
    "inpaint": {
        "dataset_dir": "folder of scans with label maps, see above; without it the phantoms of the training",
        "region": "class that is made anew where it is in the label map",
        "sphere": "one that gets this class first: x, y, z in mm of RAS, and diameter in mm",
        "margin": "mm around the class that are made anew too",
        "context": "voxels around these that the network sees",
        "repeats": "times that each step is made, so that both parts come to fit (RePaint)",
        "num_volumes": "how many scans are made, of those of the folder in turn",
        "seed": "of the first scan; the others have the following ones",
        "steps": "steps from noise to a volume",
        "dicom": "writes DICOM series with segmentations in the place of NIfTI",
    },
    "evaluate": {"reference": DIFFUSION["evaluate"]["reference"]},
}
OF_STYLES = {
    "truncation": "1 leaves styles as they are, less makes slices more typical and less varied",
    "truncated_layers": "layers, from the coarsest on, of which that holds; null: all",
}
STYLEGAN2 = {
    "train": {
        **SLICES["train"],
        "iterations": "at least so many iterations, in the place of `max_epochs`",
        "latent_dim": "size of the latent vector",
        "style_dim": "size of a style",
        "mapping_layers": "layers between latent vector and style: 2, or 8 as in StyleGAN2's large sets",
        "channel_base": "channels of a resolution times its side",
        "channel_max": "greatest number of channels of a resolution",
        **OF_STYLES,
        "gamma": "weight of R1; worth a search by factors of 2",
        "path_length_weight": "weight of path lengths",
        "style_mixing": "probability that a slice has two styles",
        "lazy": "interval of path lengths and of R1, in iterations",
        "ada": "adaptive augmentation: greatest probability (`limit`, 0 for none), `strengths` by transformation, ...",
        "start_from": "`model.pt` to begin with, of any number of channels; `discriminator.pt` lies beside it",
        "frozen": "layers of the discriminator, from the image on, that do not learn: 10 or 13 for transfer learning",
        "half_life": "of the averaged generator, in images",
        "ramp_up": "share of the images seen so far to which `half_life` is limited",
        "learning_rates": "of generator and discriminator, before the correction for lazy updates",
    },
    "inference": {**SLICES["inference"], **OF_STYLES},
    "evaluate": SLICES["evaluate"],
}
FASTGAN = {
    "train": {
        **SLICES["train"],
        "iterations": "at least so many iterations, in the place of `max_epochs`",
        "latent_dim": "size of the latent vector",
        "width": "width of both networks, 64 in the paper",
        "ema_decay": "of the averaged generator; 0 takes the last weights",
        "reconstruction_weight": "weight of what the discriminator draws again",
        "lpips": "two files of weights, see above, for LPIPS in the place of L1 and SSIM",
        "start_from": "`model.pt` of as many channels to begin with; `discriminator.pt` lies beside it",
        "augment": "kinds of changes, `color`, `translation` and `cutout`, and how great they are",
        "mirror": "share of the slices that are mirrored left for right",
        "learning_rates": "of both updates",
    },
    "inference": SLICES["inference"],
    "evaluate": SLICES["evaluate"],
}
STYLEGAN3 = {
    "train": {
        **SLICES["train"],
        **{
            id: STYLEGAN2["train"][id]
            for id in (
                "iterations",
                "latent_dim",
                "style_dim",
                "mapping_layers",
                *OF_STYLES,
                "gamma",
                "start_from",
                "frozen",
            )
        },
        "rotation": "true for R, whose images turn as well, false for T",
        "num_layers": "layers of the generator before the image; 6 to 8 do below 128 pixels",
        "channel_base": "channels of a layer times twice its cutoff",
        "channel_max": "greatest number of channels of a layer",
        "blur": "sigma of the Gaussian through which the discriminator sees in the beginning, in pixels",
        "blur_images": "images over which it falls to 0",
        "r1_interval": "interval of R1, in iterations",
        "half_life": STYLEGAN2["train"]["half_life"],
        "ramp_up": STYLEGAN2["train"]["ramp_up"],
        "learning_rates": "of generator and discriminator, the latter before the correction for the lazy update",
    },
    "inference": STYLEGAN2["inference"],
    "evaluate": STYLEGAN2["evaluate"],
}
COMMON = {
    "train": (TRAIN, PLACES_OF_TRAINING),
    "inference": (INFERENCE, PLACES),
    "reconstruct": (INFERENCE, PLACES),
    "inpaint": (INFERENCE, PLACES),
    "evaluate": (EVALUATE, {}),
}
"""Config -> what all families share: what stands before their own options in a table, and what stands after."""

COMPUTED = {
    "$@bundle_root + '/eval'": "`eval` in `bundle_root`",
    "$@bundle_root + '/reconstruction'": "`reconstruction` in `bundle_root`",
    "$@bundle_root + '/inpainted'": "`inpainted` in `bundle_root`",
    "$@bundle_root + '/models'": "`models` in `bundle_root`",
    "$@bundle_root + '/cache'": "`cache` in `bundle_root`",
    "$@bundle_root + '/models/model.pt'": "`models/model.pt`",
    "$@bundle_root + '/models/model_ct2mr.pt'": "`models/model_ct2mr.pt`",
    "$@ckpt_dir + '/model.pt'": "`models/model.pt`",
    "$weights_beside(@ckpt_path, 'encoders')": "`encoders.pt` beside `ckpt_path`",
    "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')": "a GPU if there is one",
    "$os.path.join(@data_dir, 'labels.csv')": "`labels.csv` of the data",
    "$renamed('plain', @plain, 'implementation', 'optimised', {True: 'reference', False: 'optimised'})": "`optimised`",
    "$renamed('lean', @lean, 'checkpointing', @implementation == 'optimised' and @image_size >= 256)": ""
    "true from 256 on",
    "$renamed('structure_weight', @structure_weight, 'mind_weight', 0.0)": "0.0",
    "$[3 * @image_size // 4, @image_size, 3 * @image_size // 4]": "`image_size` rows, and 3/4 of it slices and columns",
    "$@max_epochs // 2": "half of `max_epochs`",
    "$round(@image_size * 286 / 256)": "286/256 of `image_size`",
    "$None if @ct_dir is None else 'abdomen'": "`abdomen` with `ct_dir`",
    "$0.0002 * @image_size ** 2 / @batch_size": "0.0002 times `image_size` squared over `batch_size`",
    "$2.0 * (@image_size / 256) ** 2": "2 at 256 pixels, 4 times as much for twice the side",
    "$10.0 if @rotation else 0.0": "0; 10 for R",
    "$@batch_size * 200000 // 32": "200,000 with batches of 32, in proportion to them",
    "$@batch_size * 10000 // 32": "10,000 with batches of 32, in proportion to them",
    "$len(@real)": "as many as there are real ones",
    "$[*@images][0]": "the first",
    "$torch.device(@device).type == 'cuda'": "true on a GPU",
    "$'made' if 'mask_denoiser' in @networks else 'none'": "`made` if the weights have networks for that, else `none`",
    "$30 if @form == 'rflow' else 1000": "30; 1000 for weights of the first form",
    "$len(@real_data)": "as many as there are real ones",
    "$len(@real_files)": "as many as there are real ones",
    "$@data_dir + '/Test_Sets' if @dataset_dir is None else @data_dir": "`dataset_dir`, or the held-out phantoms",
    "$@trained['data']['field_of_view_mm']": "that of the training volumes",
    "$[@image_size] * 3": "`image_size` each",
    "$[*reversed(@volume_size)]": "those of the training",
    "$[extent / n for extent, n in zip(reversed(@trained['data']['field_of_view_mm']), @size)]": "with which the "
    "volume has the extent of the training volumes",
    "$0.001 if @dataset_dir is None else 0.0001": "0.0001; 0.001 with phantoms",
    "$0.001 if @dataset_dir is None else 0.0002": "0.0002; 0.001 with phantoms",
    "$0.0001 if @crf_nodes == 'slices' else 0.0004": "0.0001 (0.0004 with `channels`)",
    "$'half' if @num_classes > 0 else 'none'": "`none`, by class `half`",
    "@crf_iterations": "60000",
}
"""Expression of a config -> what it gives, in words."""


MISSING = object()


def described(family: Mapping[str, Mapping[str, str]], config: str) -> dict[str, str]:
    """id -> sentence, of all options that a config of a family may have, in the order of the table."""
    name = "inference" if config.startswith("inference") else config
    first, last = COMMON[name]
    return {**first, **family.get(name, {}), **last}


def literal_options(config: Config) -> set[str]:
    """Top-level ids that hold a value a user may change, and nothing that is built or computed."""
    return {
        id for id, value in config.items() if id not in {*STRUCTURE, *RENAMED} and "#" not in id and _literal(value)
    }


def table(config: Config, sentences: Mapping[str, str]) -> str:
    """The options of a config as rows of a Markdown table."""
    rows = ["| option | default | |", "|---|---|---|"]
    for id, sentence in sentences.items():
        value = found(config, id)
        if value is MISSING or (isinstance(value, str) and re.fullmatch(r"\$@trained\['\w+'\]", value)):
            continue
        if isinstance(value, dict):
            names = ", ".join(f"`{id}#{key}`" for key in value)
            rows.append(f"| {names} | {', '.join(_default(config, item) for item in value.values())} | {sentence} |")
        else:
            default = "the bundle's folder" if id == "bundle_root" else _default(config, value)  # packed ones find it
            rows.append(f"| `{id}` | {default} | {sentence} |")
    return "\n".join(rows)


def found(config: Config, id: str) -> Any:
    """Return what a config has by an id, nested ones with #; `MISSING` if nothing."""
    node: Any = config
    for key in id.split("#"):
        if not isinstance(node, Mapping) or key not in node:
            return MISSING
        node = node[key]
    return node


def _literal(value: Any) -> bool:
    if isinstance(value, str):
        return not value.startswith(("$", "@", "%"))
    if isinstance(value, dict):
        return "_target_" not in value and any(_literal(item) for item in value.values())
    return not isinstance(value, list) or all(_literal(item) for item in value)


def _default(config: Config, value: Any) -> str:
    """A default as a reader of the table needs it; an expression that a user has given stays one."""
    if isinstance(value, str) and value.startswith(("$", "@")):
        scale = re.fullmatch(r"\$@scales\[@scale\]\['(\w+)'\]", value)
        if scale is None:
            return COMPUTED.get(value, f"`{value}`").replace("|", "\\|")
        phantom, paper = (config["scales"][name][scale[1]] for name in ("phantom", "paper"))
        return str(paper) if phantom == paper else f"{paper}; {phantom} with phantoms"
    return f"`{value}`" if isinstance(value, str) else json.dumps(value)
