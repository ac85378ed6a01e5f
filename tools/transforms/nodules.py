"""Nodules that are to be painted into chest CT: cut out with what is around them, and put back where they belong."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform, Orientation, Transform
from monai.utils import convert_to_tensor
from scipy.ndimage import map_coordinates

from tools.io.painted_folder import PaintedFolder
from tools.io.readers import VolumeError
from tools.transforms.channels import Channels
from tools.transforms.crops import CropCubed
from tools.transforms.ct import ReplaceNaNd
from tools.transforms.holes import painting_input
from tools.transforms.latent import LatentFromSeedd
from tools.transforms.lungs import KNOWN, seeded_places
from tools.transforms.spatial import load_volume
from tools.transforms.spheres import paint_spheres
from tools.transforms.window import Window
from tools.transforms.writing import WriteIntod

SCAN, SPHERES, AFFINES, MASK, BEFORE, CROP = "scan", "spheres", "affines", "mask", "before", "crop"
"""Keys of a whole scan, whole numbers [1, axial, H, W]; of the nodules to paint into it, x, y, z and diameter in mm of
RAS, [n, 4]; of the grids of their crops, [n, 4, 4]; of where there are nodules in the end, uint8 [1, axial, H, W]; of
the scan as it was; and of crops before something is painted into them."""


class AskForPaintingd(Transform):
    """From a crop around a nodule, as `tools.transforms.crops.nodule_crops` gives it, to what a network paints it anew
    by: "image" [4, S, S, S], see `tools.transforms.holes`, and "label", the crop [1, S, S, S].

    Noise follows from the item's "seed".

    Args:
        spacing: side of a voxel in mm.
        margin: margin of the hole around the nodule in mm.
    """

    def __init__(self, spacing: float, margin: float) -> None:
        super().__init__()
        self.spacing = spacing
        self.margin = margin

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        crop = data["image"]
        noise = LatentFromSeedd(latent_dim=list(crop.shape))(data)["latent"]
        diameter = torch.tensor([float(data["diameter"])])
        image = painting_input(crop[None], diameter, torch.tensor([float(self.margin)]), noise[None], self.spacing)
        return {**data, "image": image[0], "label": crop}


class CutNodulesd(Transform):
    """From an item with "image", the path of a chest CT, to what a network paints nodules into it by.

    The nodules are those of "places", [(x, y, z, diameter), ...] in mm of RAS, or one of each of the "diameters", at
    places in the lungs that follow from the item's "seed", see `seeded_places`, away from those of "known". "image"
    becomes [n, 4, S, S, S], see `tools.transforms.holes`, with noise of that seed; "crop" [n, S, S, S] in [-1, 1] is
    what was there; "scan" is the whole one; "spheres" and "affines" say where the crops lie.

    Args:
        window: HU of -1 and 1.
        size: voxels a side of a crop.
        spacing: side of a crop's voxel in mm.
        margin: margin of the hole around a nodule in mm.

    Raises:
        VolumeError: the scan is not of whole numbers of 16 bits, a place lies outside of it, a nodule with its margin
            is larger than a crop, or there is no room for it.
    """

    def __init__(self, window: Sequence[float], size: int, spacing: float, margin: float) -> None:
        super().__init__()
        self.window = Window.of(window)
        self.size = size
        self.spacing = spacing
        self.margin = margin
        self._load = Compose(load_volume(as_stored=True))
        self._crop = CropCubed("image", size, spacing)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        path = d["image"][0] if isinstance(d["image"], list | tuple) else d["image"]
        scan = self._load({"image": path})["image"]
        hu = ReplaceNaNd("image")({"image": scan.float()})["image"]
        stored = hu.as_tensor().to(torch.int16)
        if not torch.equal(stored.float(), hu.as_tensor()):
            raise VolumeError.of(str(path), "its values are no whole numbers of 16 bits, which alone stay as they are")
        known = [tuple(map(float, place)) for place in d.get(KNOWN, ())]
        spheres = [tuple(map(float, place)) for place in d.get("places") or seeded_places(d, path, hu, 2 * self.margin)]
        for *_, diameter in spheres:
            if diameter + 2 * self.margin > (self.size - 1) * self.spacing:
                raise VolumeError.of(
                    str(path), f"a nodule of {diameter:g} mm with a margin of {self.margin:g} mm is larger than a crop "
                    f"of {self.size * self.spacing:g} mm"
                )  # fmt: skip
        crops = [self._crop({"image": hu, "centre": sphere[:3]})["image"] for sphere in spheres]
        crop = torch.stack([self.window.scale(one.as_tensor()).clamp(-1, 1) for one in crops])
        noise = LatentFromSeedd(latent_dim=list(crop.shape))(d)["latent"]
        diameters = torch.tensor([sphere[3] for sphere in spheres])
        image = painting_input(crop, diameters, torch.full_like(diameters, self.margin), noise, self.spacing)
        return {
            **{key: value for key, value in d.items() if key not in ("places", "diameters")},
            "image": image,
            CROP: crop[:, 0],
            SCAN: MetaTensor(stored, affine=scan.affine),
            SPHERES: torch.tensor(spheres, dtype=torch.float64),
            KNOWN: torch.tensor(known, dtype=torch.float64).reshape(-1, 4),
            AFFINES: torch.stack([one.affine for one in crops]),
        }


class PasteNodulesd(MapTransform):
    """Put what was painted, [n, 1, S, S, S] in [-1, 1], into its scan: whole HU [1, axial, H, W], int16.

    What was painted is interpolated on the scan's voxels in the holes; every other voxel is that of the file, whatever
    the window. "mask" is where there are nodules now, spheres of their diameters: those that were painted, and those
    that were known. "before" is the scan as it was, and "centre" the first nodule's.

    Args:
        keys: keys of what was painted.
        window: HU of -1 and 1.
        margin: margin of a hole around its nodule in mm.
        name_key: key of the scan's name.
    """

    def __init__(self, keys: KeysCollection, window: Sequence[float], margin: float, name_key: str = "name") -> None:
        super().__init__(keys)
        self.window = Window.of(window)
        self.margin = margin
        self.name_key = name_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        scan = d[BEFORE] = d[SCAN]
        affine = np.asarray(scan.affine, float)
        for key in self.key_iterator(d):
            made = convert_to_tensor(d[key], track_meta=False).detach().cpu().float().clamp(-1, 1)
            pasted = scan.as_tensor().cpu().clone()
            for crop, grid, (*centre, diameter) in zip(made, d[AFFINES], d[SPHERES].tolist(), strict=True):
                radius = diameter / 2 + self.margin
                index, points = ball(pasted.shape[1:], affine, centre, radius)
                places = np.linalg.solve(np.asarray(grid, float), np.vstack([points, np.ones(points.shape[1])]))[:3]
                values = map_coordinates(crop[0].double().numpy(), places, order=1, mode="nearest")
                pasted[0][tuple(index)] = self.window.unscale(torch.from_numpy(values)).round().to(torch.int16)
            meta = {"filename_or_obj": str(d[self.name_key])}
            d[key] = MetaTensor(pasted, affine=scan.affine, meta=meta)
        spheres = [*d[SPHERES].tolist(), *d[KNOWN].tolist()]
        d["centre"] = spheres[0][:3]
        d[MASK] = MetaTensor(torch.from_numpy(paint_spheres(scan.shape[1:], affine, spheres))[None], affine=scan.affine)
        return d


class PairWithNoduled(MapTransform):
    """A painted crop [1, 1, S, S, S] becomes a sample [2, S, S, S] in the crop's place: the image, and the channel of
    nodules, 1 in spheres of their diameters and -1 elsewhere. "before" is the crop as it was.

    Args:
        keys: keys of painted crops.
        channels: channels of the samples: one image and one class.
        name_key: key of the sample's name.
    """

    def __init__(self, keys: KeysCollection, channels: Channels, name_key: str = "name") -> None:
        super().__init__(keys)
        self.channels = channels
        self.name_key = name_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        (affine,) = d[AFFINES]
        d[BEFORE] = MetaTensor(convert_to_tensor(d[CROP], track_meta=False), affine=affine)
        for key in self.key_iterator(d):
            image = convert_to_tensor(d[key], track_meta=False)
            spheres = [*d[SPHERES].tolist(), *d[KNOWN].tolist()]
            inside = torch.from_numpy(paint_spheres(image.shape[2:], affine.numpy(), spheres))
            sample = self.channels.join(image, inside[None, None].to(image.device))[0]
            d[key] = MetaTensor(sample, affine=affine, meta={"filename_or_obj": str(d[self.name_key])})
        return d


def ball(
    shape: Sequence[int], affine: np.ndarray, centre: Sequence[float], radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Voxels of a grid whose centres lie within a distance of a point: their indices and their places in mm, [3, n].

    Args:
        shape: voxels along the three axes.
        affine: 4x4, voxel index to mm in RAS.
        centre: point in mm of RAS.
        radius: distance in mm.
    """
    inverse = np.linalg.inv(affine)
    middle = (inverse @ [*centre, 1])[:3]
    reach = np.linalg.norm(inverse[:3, :3], axis=1) * radius
    low = np.clip(np.floor(middle - reach), 0, shape).astype(int)
    high = np.clip(np.ceil(middle + reach) + 1, 0, shape).astype(int)
    index = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij")).reshape(3, -1)
    points = affine[:3, :3] @ index + affine[:3, 3:]
    near = np.linalg.norm(points - np.asarray(centre, float)[:, None], axis=0) <= radius
    return index[:, near], points[:, near]


class WritePaintedd(WriteIntod[PaintedFolder]):
    """Write painted scans, see `PasteNodulesd`, with the table and the label maps of their nodules.

    Args:
        keys: keys of scans, MetaTensors [1, axial, H, W] of whole HU.
        folder: folder to which they are added; its `finish` is the caller's.
        provenance: origin of the scans, which every file says.
        name_key: key of a scan's name.
        seed_key: key of the number that its nodules follow from.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        name, record = self.named(d)
        turn = Orientation(axcodes="RAS", labels=None)
        mask = turn(d[MASK])
        for key in self.key_iterator(d):
            scan = turn(d[key])
            self.folder.add(
                name,
                scan[0].numpy(),
                mask[0].numpy(),
                scan.affine.numpy(),
                record,
                painted=d[SPHERES].tolist(),
                known=d[KNOWN].tolist(),
            )
        return d
