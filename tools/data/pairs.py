"""Pairs of images of the same subject, such as MR and CT, or a scan at a low and at the full dose."""

from __future__ import annotations

from collections.abc import Sequence

from tools.io import left_out
from tools.io.readers import VolumeError


def paired_datalist(images: Sequence[dict], targets: Sequence[dict]) -> list[dict]:
    """Pair the items of two datalists by their ids, whatever they list: volumes, single slices, or studies.

    Nothing is said of grids: `tools.transforms.slices.LoadStudyd` brings images of one study to one grid.

    Args:
        images: datalist of what goes in, `[{"image": path, "id": ...}, ...]`.
        targets: datalist of what is to come out; its "image" becomes the pair's "label".

    Returns:
        the items of ``images`` that have a target, each with "label", sorted as they were; the others, and targets
        without an image, are named in a warning.

    Raises:
        VolumeError: two items of one list have one id, or no id is in both.

    Example::

        paired_datalist(volume_datalist("/data/mr"), volume_datalist("/data/ct"))
    """
    image_of, target_of = _by_id(images, "images"), _by_id(targets, "targets")
    pairs = [item | {"label": target_of[i]["image"]} for i, item in image_of.items() if i in target_of]
    alone = {i: "it has no target" for i in image_of if i not in target_of}
    alone |= {i: "it has no image" for i in target_of if i not in image_of}
    if not pairs:
        raise VolumeError(f"none of {len(images)} images has a target of its id:\n{left_out.listed(alone)}")
    if alone:
        left_out.warn_of("pairs", alone, len(pairs) + len(alone), "ids")
    return pairs


def _by_id(items: Sequence[dict], what: str) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for item in items:
        if item["id"] in found:
            raise VolumeError(f"two {what} have the id {item['id']!r}; a pair is told by its id: rename or remove one")
        found[item["id"]] = item
    return found
