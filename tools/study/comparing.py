"""Volumes as a study shows them, and whether they may stand side by side: nothing but the content may differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tools.data.image_sets import ImageFile, read_image
from tools.evaluation.units import Range, common_unit, unit_of
from tools.io.readers import VolumeError
from tools.study.drawing import Drawn
from tools.study.folder import Question
from tools.study.pictures import Geometry
from tools.transforms.spatial import ResizeVolumed
from tools.transforms.window import Window

REACH = 0.1
"""Share of the window by which the darkest and the brightest values of two sets may differ."""


@dataclass(frozen=True)
class VolumeFacts:
    """What is compared between volumes before they are shown side by side: geometry, least and greatest value."""

    geometry: Geometry
    values: Range


Facts = dict[str, VolumeFacts]
Unusable = dict[ImageFile, VolumeError]


@dataclass(frozen=True)
class Volumes:
    """Reads volumes as they are shown.

    Attributes:
        as_stored: True takes voxels for cubes, whatever size the file states.
        image_size: voxels a side of the cube to which every volume is resized; None leaves it as it is.
    """

    as_stored: bool = False
    image_size: int | None = None

    def read(self, file: ImageFile) -> tuple[np.ndarray, Geometry]:
        """A volume, float32 [D, H, W], and its geometry.

        Raises:
            VolumeError: the volume cannot be read, shows nothing, or holds NaN.
        """
        volume, spacing = read_image(file)
        if not np.isfinite(volume).all():
            raise VolumeError.of(file.path, "it holds values that are no numbers (NaN); mend or remove it")
        if self.image_size is not None:
            resize = ResizeVolumed(keys="image", spatial_size=self.image_size)
            volume = resize({"image": torch.from_numpy(volume)[None]})["image"][0].numpy()
        cubes = self.as_stored or self.image_size is not None or spacing is None
        return volume, Geometry(volume.shape, (1.0, 1.0, 1.0) if cubes else spacing)

    def facts(self, drawn: Iterable[Drawn], known: Mapping[str, VolumeFacts]) -> tuple[Facts, Unusable]:
        """Geometry and values of every volume that is drawn, by its path, and those volumes that cannot be shown.

        Args:
            drawn: volumes.
            known: results of volumes that were read before, which are not read again.
        """
        found, unusable = dict(known), {}
        for file in dict.fromkeys(one.file for one in drawn):
            if file.path in found:
                continue
            try:
                volume, geometry = self.read(file)
            except VolumeError as error:
                unusable[file] = error
            else:
                found[file.path] = VolumeFacts(geometry, (float(volume.min()), float(volume.max())))
        return found, unusable


def check_geometry(
    questions: Sequence[Question],
    images: Mapping[str, Drawn],
    facts: Mapping[str, VolumeFacts],
    whole_volumes: bool,
) -> None:
    """Raises ValueError if size or proportions would tell images apart.

    That is: two images of a pair that differ in geometry, two scans of one plane that differ in a survey, or any two
    volumes of a study in which readers scroll.
    """
    groups: dict[str, list[tuple[str, str | None]]] = {}
    for question in questions:
        if whole_volumes:
            group, plane = "a study with --volumes", None
        elif question.section == "survey":
            group, plane = f"a survey's {question.plane} scans", question.plane
        else:
            group, plane = f"pair {question.id}", None
        groups.setdefault(group, []).extend((name, plane) for name in question.images)
    for group, members in groups.items():
        one = images[members[0][0]]
        for name, plane in members[1:]:
            two = images[name]
            if not facts[one.file.path].geometry.same_as(facts[two.file.path].geometry, plane):
                raise _different(one, two, facts, "a pair" if group.startswith("pair ") else group)


def shown_window(
    questions: Sequence[Question],
    images: Mapping[str, Drawn],
    facts: Mapping[str, VolumeFacts],
    window: Sequence[float] | None,
) -> tuple[Window, bool]:
    """The window that images are shown in, and whether values are HU.

    Raises:
        ValueError: two images of a pair, or two sets, are in different units, or one set does not reach as far as
            another within the window, so that the values at which it is cut off tell it.
    """
    for question in questions:
        drawn = [images[name] for name in question.images]
        common_unit({f"{one.set} ({one.file.id})": facts[one.file.path].values for one in drawn}, window)
    ranges: dict[str, Range] = {}
    for one in images.values():
        low, high = facts[one.file.path].values
        known = ranges.get(one.set, (low, high))
        ranges[one.set] = min(low, known[0]), max(high, known[1])
    found = common_unit(ranges, window).window
    _check_reach(ranges, found)
    return found, any((unit := unit_of(values)) and unit.name == "HU" for values in ranges.values())


def _check_reach(ranges: Mapping[str, Range], window: Window) -> None:
    """Raises ValueError if a set ends earlier within the window than another."""
    lows, highs = np.clip(np.array(list(ranges.values())).T, *window)
    if max(np.ptp(lows), np.ptp(highs)) > REACH * window.width:
        shown = ", ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in ranges.items())
        digits = 0 if window.width > 100 else 2
        raise ValueError(
            f"sets differ in their range of values within the window from {window.low:g} to {window.high:g} ({shown}), "
            "which would tell them apart; give a window that all of them fill: "
            f"--window={lows.max():.{digits}f},{highs.min():.{digits}f}"
        )


def _different(first: Drawn, second: Drawn, facts: Mapping[str, VolumeFacts], where: str) -> ValueError:
    one, two = facts[first.file.path].geometry, facts[second.file.path].geometry
    shapes = {of.geometry.shape for of in facts.values()}
    if len(shapes) == 1:
        remedy = "All volumes have as many voxels: give --as_stored to take voxels for cubes, as the papers do"
    else:
        size = min(max(shape) for shape in shapes)
        remedy = (
            f"Give --image_size {size} to bring every volume of all sets to {size} x {size} x {size} voxels, as the "
            "CRF-GAN paper does with real scans, or resample the files yourself"
        )
    return ValueError(
        f"{where} would show different geometry: {first.file.path} ({first.set}) has {one}, {second.file.path} "
        f"({second.set}) has {two}. {remedy}."
    )
