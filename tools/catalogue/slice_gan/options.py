"""What the options of slices under a condition do, a sentence each."""

from __future__ import annotations

OPTIONS = {
    "train": {
        "table": "CSV file with ids of volumes or subjects in its first column, and the condition in another",
        "condition_column": "name of that column",
        "condition_range": "values of it that become 0 and 1",
        "constant_epochs": "epochs before the rates begin to fall",
        "slices": "consecutive slices of a stack",
        "outer": "share of a volume's slices that are left out at each end",
        "field_of_view": "extent of the slices in mm; null: each scan's own",
        "channels": "width of the generator's first convolution",
        "discriminator_channels": "width of the discriminators' first convolution",
        "learning_rates": "of the updates, until they fall",
        "objective#penalty_weight": "of the gradients' penalty",
        "objective#condition_weight": "of the squared error of the condition",
        "objective#identity_weight": "of what changes where the attention is elsewhere",
        "objective#attention_weight": "of the attention's mean",
        "objective#smoothness_weight": "of the attention's total variation",
        "compile": "compiles the networks by TorchInductor, which needs a C++ compiler",
    },
    "inference": {
        "dataset_dir": "folder of T1 volumes; without it the held-out phantoms of the training",
        "conditions": "those that each volume is asked for, in the unit of the table; null: both ends and the middle",
        "dicom": "writes a DICOM series beside the NIfTI",
        "inference_batch_size": "slices that are translated at a time",
        "phantoms": "as in training, where no data are given",
    },
    "evaluate": {"reference": "what is translated and compared with: `validation` or `training`"},
}
