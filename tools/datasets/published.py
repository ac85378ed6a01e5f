"""The datasets that are known, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tools.datasets.amos import AMOS
from tools.datasets.bleedings import CQ500, PHYSIONET_ICH, RSNA_ICH
from tools.datasets.brats import BRATS, BRATS_2023
from tools.datasets.chaos import CHAOS
from tools.datasets.decathlon import HIPPOCAMPUS, LIVER, PANCREAS
from tools.datasets.gsp import GSP
from tools.datasets.luna16 import LUNA16
from tools.datasets.pancreas_ct import PANCREAS_CT
from tools.datasets.record import Dataset
from tools.errors import did_you_mean

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        LUNA16,
        GSP,
        CHAOS,
        BRATS,
        BRATS_2023,
        HIPPOCAMPUS,
        LIVER,
        PANCREAS,
        PANCREAS_CT,
        AMOS,
        RSNA_ICH,
        PHYSIONET_ICH,
        CQ500,
    )
}
"""Name -> record. A new dataset takes its place here."""


def known_dataset(name: str) -> Dataset:
    """The record of a name.

    Raises:
        ValueError: no dataset has it.
    """
    if name not in DATASETS:
        raise ValueError(
            f"there is no dataset {name!r}, expected one of {', '.join(DATASETS)}.{did_you_mean(name, DATASETS)}"
        )
    return DATASETS[name]


def dataset_of_ids(ids: Iterable[str]) -> Dataset | None:
    """The dataset that all of these ids are from, by how they begin; None if there is none."""
    ids = list(ids)
    return next((known for known in DATASETS.values() if all(re.match(known.ids, one) for one in ids)), None)
