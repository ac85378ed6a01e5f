"""What is to be known of a dataset, in one record: its layout, its subjects, its split, its voxels and its terms."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.datasets.splitting import is_held_out
from tools.errors import check_choice

Sphere = tuple[float, float, float, float]
"""Centre x, y, z and diameter in mm."""

VOXELS = {"CT": "Hounsfield units", "MR": "magnitudes without a unit"}
"""What the voxels of an image may be."""

UNITS = ("volume", "slice")
"""What a case's images may be: volumes, or single slices in files of their own."""

IMAGE_ROLES = frozenset({"data", "image", "img", "scan", "vol", "volume"})
"""Names of files, without suffix, that say only that an image is in them; the folder around is then the subject."""


PLACES = {
    "header": "the header of the file",
    "voxels": "the voxels of its image: columns, rows, and slices from the feet up, whatever the header says",
    "slices": "the DICOM slices of its image: it is a folder of pictures, one for each, in the order of their names",
    "spheres": "a table of the dataset: it is a list of spheres",
}
"""What may tell where a label map lies."""


@dataclass(frozen=True)
class Images:
    """Where a dataset's images of one modality are.

    Attributes:
        pattern: regular expression that fits the whole path of an image below the dataset's folder: of a file without
            its suffix, or of a folder of DICOM slices, "/" between folders. Its group "id" is the case.
        voxels: kind of its voxels, one of `VOXELS`.
        channel: number of the volume in 4D files that hold several images of a case, from 0; None in others.
        labels: label maps of these images alone, where a dataset has not one for all images of a case.
        grey_values: values that stand for black and white in all of these images; None where each has a scale of its
            own, as MR does, and for CT.
    """

    pattern: str
    voxels: str
    channel: int | None = None
    labels: Labels | None = None
    grey_values: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _check_pattern(self.pattern)
        check_choice("voxels", self.voxels, VOXELS)


@dataclass(frozen=True)
class Labels:
    """Where a dataset's label maps are, one for each case.

    Attributes:
        pattern: regular expression of their paths, as for `Images`; None where they are spheres.
        classes: name of every class that the dataset labels -> its value in the files, or its values, as ``Channels``
            takes them. Any other class is not labelled, which is not the same as absent.
        by: name of what tells where label maps lie, one of `PLACES`.
        spheres: function from the dataset's folder to the spheres of each case by its id, (x, y, z, diameter) in mm of
            RAS, whose voxels have the value 1; it returns None where there is no table. A case that is not in the table
            has none.
    """

    pattern: str | None
    classes: Mapping[str, int | tuple[int, ...]]
    by: str = "header"
    spheres: Callable[[Path], Mapping[str, Sequence[Sphere]] | None] | None = None

    def __post_init__(self) -> None:
        if {self.pattern is None, self.spheres is not None} != {self.by == "spheres"}:
            needed = "spheres, and no pattern" if self.by == "spheres" else "a pattern, and no spheres"
            raise ValueError(f"labels by {self.by!r} need {needed}")
        if self.pattern is not None:
            _check_pattern(self.pattern)
        check_choice("by", self.by, PLACES)


@dataclass(frozen=True)
class Dataset:
    """A dataset, as published.

    Attributes:
        name: short name, in small letters, by which configs and checkpoints know it.
        looks: description of its layout, for messages.
        images: modality -> its images; names of modalities are free. A dataset of one modality says it in one entry.
        ids: regular expression of how the ids of its images or cases begin.
        source: name and address, for metadata.
        files: format of its files, for metadata.
        reference: paper that describes it, for metadata.
        terms: text on its licence and what to cite, for ``docs/data_license.txt``.
        subject: function from an id to the subject whose image it is; all images of a subject lie on one side of the
            split. An id is its own subject if nothing is given.
        one_in: share of subjects that is held out for validation, one in so many.
        share_few: True if all are trained on where fewer than two would be held out, as studies of several images are
            few; see `split`.
        fold: regular expression of the names of numbered folders by which the publisher divides the dataset, the number
            in a group; None if there are none.
        folds: name of these folders, in the plural.
        validation_folds: numbers of those that are held out.
        roles: names of files, without suffix and in small letters, that say only what the image is.
        is_image: function that tells from an id whether it is one of the dataset's images, and not a mask or another
            contrast beside it; all are if nothing is given.
        unit: kind of each image, "volume" or "slice".
        labels: label maps, one for all images of a case, if it has them; see also `Images.labels`.
        classes: names of the classes of whole scans, in the order of their numbers, if it has them.
        findings: names of what scans or slices may show, several at a time, in the order of their numbers.
        table: function from the dataset's folder to what tables there say of each case: id -> {"subject": name,
            "class": name, "findings": names, "slice_findings": {number of a slice in the file, from 1: names}}, all of
            which may be missing. A subject in it goes before that of ``subject``.
    """

    name: str
    looks: str
    images: Mapping[str, Images]
    ids: str
    source: str
    files: str
    reference: str
    terms: str = field(repr=False)
    subject: Callable[[str], str] = str
    one_in: int = 10
    share_few: bool = False
    fold: str | None = None
    folds: str = "folds"
    validation_folds: tuple[int, ...] = ()
    roles: frozenset[str] = IMAGE_ROLES
    is_image: Callable[[str], bool] | None = None
    unit: str = "volume"
    labels: Labels | None = None
    classes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    table: Callable[[Path], Mapping[str, Mapping[str, Any]]] | None = None

    def __post_init__(self) -> None:
        check_choice(f"{self.name}: unit", self.unit, UNITS)

    @property
    def modality(self) -> str:
        """The only modality of a dataset that has one.

        Raises:
            ValueError: the dataset has several.
        """
        if len(self.images) != 1:
            raise ValueError(f"{self.name} has the modalities {', '.join(self.images)}; name one")
        return next(iter(self.images))

    @property
    def classes_of_labels(self) -> dict[str, int | tuple[int, ...]]:
        """Every class that some of its label maps have -> its value, or values, in the first of them."""
        every = [self.labels, *(images.labels for images in self.images.values())]
        return {name: value for labels in reversed(every) if labels for name, value in labels.classes.items()}

    def marks(self, names: Collection[str]) -> list[int]:
        """0 or 1 for each of `findings`."""
        return [int(finding in names) for finding in self.findings]

    def fold_of(self, folders: Sequence[str]) -> int | None:
        """Number of the innermost numbered folder among the names of folders around an image; None without one."""
        numbered = (self.fold and re.fullmatch(self.fold, folder) for folder in reversed(folders))
        return next((int(match[1]) for match in numbered if match), None)

    def holds_out(self, subject: str, folders: Sequence[str] = (), folds: Collection[int] | None = None) -> bool:
        """Whether a subject's images are for validation.

        It depends on the image alone, so that adding one never moves another: on the publisher's numbered folder in
        which it lies, or else on a hash of the subject's name.

        Args:
            subject: name of the subject.
            folders: names of the folders between the dataset and the image, from the outside in.
            folds: numbers of the folders that are held out; `validation_folds` if None.
        """
        fold = self.fold_of(folders)
        if fold is not None:
            return fold in (self.validation_folds if folds is None else folds)
        return is_held_out(subject, self.one_in)

    def rule(self, folds: Collection[int] | None = None) -> str:
        """`holds_out` in words, for messages."""
        by_hash = f"one subject in {self.one_in} is, by a hash of its name"
        if self.fold is None:
            return by_hash
        chosen = sorted(self.validation_folds if folds is None else folds)
        return (
            f"validation_{self.folds}, now {chosen}, chooses the numbered {self.folds} that are for validation; in "
            f"other folders {by_hash}"
        )


def _check_pattern(pattern: str) -> None:
    if "id" not in re.compile(pattern).groupindex:
        raise ValueError(f"the pattern {pattern!r} has no group (?P<id>...), which names the case")
