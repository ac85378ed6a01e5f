"""What the options of translation from MR to CT do, a sentence each."""

from __future__ import annotations

OPTIONS = {
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
