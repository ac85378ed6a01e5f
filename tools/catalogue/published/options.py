"""What the options of networks that others have published do, a sentence each."""

from __future__ import annotations

OPTIONS = {
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
