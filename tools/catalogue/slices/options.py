"""What the options of all generators of labelled slices do, a sentence each."""

from __future__ import annotations

OF_STYLES = {
    "truncation": "1 leaves styles as they are, less makes slices more typical and less varied",
    "truncated_layers": "layers, from the coarsest on, of which that holds; null: all",
}

OF_STYLE_PICTURES = {
    "mixing": {
        "seed": "of the first row; further rows, then the columns, have the following ones",
        "rows": "samples that give coarse styles",
        "columns": "samples that give fine styles",
        "coarse_layers": "layers, from the coarsest on, whose styles are the row's",
        "channel": "image or label that is shown",
        "class_label": "number of the class of all slices, for weights that know classes",
        **OF_STYLES,
    },
    "interpolation": {
        "seed": "of the first sample; the others have the following ones",
        "stops": "samples between which styles are interpolated",
        "steps": "slices of the picture from one sample to the next",
        "frames": "frames of the film from one sample to the next; 12 take a second",
        "film": "`gif` or `webp`; null: none",
        "class_label": "number of the class of all slices, for weights that know classes",
        **OF_STYLES,
    },
}

OF_PROJECTION = {
    "reference": "where the slices come from: `validation` or `training`",
    "num_real": "how many slices are projected",
    "class_label": "number of the class of all slices, for weights that know classes",
    "projection_steps": "steps of each projection; 1000 in the paper",
    "lpips": "two files of weights for LPIPS in the place of pixels at several scales: torchvision's VGG16, and heads",
}

OPTIONS = {
    "train": {
        "image_size": "pixels a side of the slices",
        "images": "scale of each image by its name: a percentile for MR, a window in HU for CT",
        "labels": "value in the files of each class, by its name",
        "encoding": "how classes are channels: `one_hot`, or a factor of the value in the files, such as 40",
        "classes": "name of each class of slices and labels of which it shows one; the first shows none; `{}` for "
        "none; or one image each, of which samples then have one",
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
        "image": "which image of the slices is compared; `all`: each, in a folder of its name",
        "num_real": "real slices that are compared, at most",
        "num_synthetic": "how many slices are made for the comparison",
    },
}
