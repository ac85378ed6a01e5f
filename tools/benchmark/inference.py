"""What using a bundle costs: generating a volume, translating one, and preparing one for training."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from monai.transforms import Compose, Lambdad, MapTransform
from monai.utils import convert_to_dst_type
from torch import Tensor

from tools.benchmark.case import Case
from tools.benchmark.configs import bundle_metadata, read_config
from tools.data.phantoms.thorax import thorax_ct
from tools.engines.generation import OneByOneInferer, write_by_slabs
from tools.engines.trainer import PRECISIONS
from tools.engines.translation import SlabInferer
from tools.transforms.ct import CalibrateHUd, DropBlankSlicesd, ReplaceNaNd, ct_preprocessing
from tools.transforms.spatial import load_volume
from tools.transforms.window import CT_WINDOW

SCAN = (300, 512, 512)
"""Slices, rows and columns of a scan as LUNA16 has them."""

NOISE = 15.0
"""Its standard deviation in HU."""

BATCH = 8
"""Slices that are translated together."""

SLICES = 16
"""Number of slices of the volumes that are translated; the papers' MR have 25 to 45."""


def generation(case: Case, device: torch.device) -> float:
    """Seconds for one volume of a GAN; with ``slab_length`` into a file, slab by slab."""
    network, latent = generator(case, device, case.reference)

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_by_slabs(network, latent, Path(folder) / "volume.nii", CT_WINDOW, (1, 1, 1), None, case.slab_length)

    def make() -> None:
        OneByOneInferer()(latent, network)

    return seconds(write if case.slab_length > 0 else make, case, device)


def generator(case: Case, device: torch.device, reference: bool) -> tuple[torch.nn.Module, Tensor]:
    """A GAN's generator with random weights, the same for both forms, and a latent."""
    own = {"image_size": case.image_size, "device": device}
    if "implementation" in read_config(case.bundle, {}):
        own["implementation"] = "reference" if reference else "optimised"
    parser = read_config(case.bundle, case.overrides | own)
    torch.manual_seed(0)
    network = parser.get_parsed_content("network").eval()
    return network, torch.randn(1, parser.get_parsed_content("latent_dim")).to(device)


def denoiser(case: Case, device: torch.device) -> tuple[Callable[..., Tensor], Tensor, Tensor]:
    """A denoiser with random weights, of the first class where it has some, noise, and the time of nothing else."""
    # weights are drawn on the CPU, whose random numbers are the same whatever device follows
    parser = read_config(case.bundle, {**case.overrides, "image_size": case.image_size, "device": torch.device("cpu")})
    torch.manual_seed(0)
    network = parser.get_parsed_content("network").eval()
    for parameter in getattr(network, "denoiser", network).out.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # begins with zeros, which would hide what comes before
    network = network.to(device)
    if "noise_shape" in parser:  # of latents
        shape = parser.get_parsed_content("noise_shape")
    else:
        # a bundle that does not say what its channels are makes one image
        channels = parser.get_parsed_content("sample_channels") if "sample_channels" in parser else None
        number = 1 if channels is None else channels.num_images if "control" in parser else channels.number
        size = parser.get_parsed_content("volume_size") if "volume_size" in parser else [case.image_size] * 2
        shape = number, *size
    noise = torch.randn(1, *shape)
    told: dict[str, Tensor] = {}
    if "control" in parser:
        told["labels"] = torch.zeros(1, channels.num_labels, *shape[1:], device=device)
    if getattr(network, "num_class_embeds", None):
        told["class_labels"] = torch.zeros(1, dtype=torch.long, device=device)
    of_maisi = getattr(network, "denoiser", network)
    for name in ("spacing", "top_region_index", "bottom_region_index"):
        if getattr(of_maisi, f"include_{name}_input", False):
            numbers = getattr(of_maisi, f"{name}_layer")[0].in_features
            told[f"{name}_tensor"] = torch.ones(1, numbers, device=device)
    only_noise = torch.full((1,), 1000.0, device=device)
    return partial(network, **told) if told else network, noise.to(device), only_noise


def translation(case: Case, device: torch.device) -> float:
    """Seconds for a volume of ``SLICES`` slices through a CycleGAN in batches, slice by slice for the reference."""
    network, volume = translator(case, device)
    inferer = SlabInferer(batch_size=1 if case.reference else BATCH)
    return seconds(lambda: inferer(volume, network), case, device)


def painter(case: Case, device: torch.device) -> tuple[torch.nn.Module, Tensor]:
    """A painter of nodules with random weights, and what it is given of a crop, [1, channels, 32, 32, 32]."""
    parser = read_config(case.bundle, {**case.overrides, "device": device})
    torch.manual_seed(0)
    network = parser.get_parsed_content("network").eval()
    channels = bundle_metadata(case.bundle)["network_data_format"]["inputs"]["image"]["num_channels"]
    return network, torch.empty(1, channels, 32, 32, 32).uniform_(-1, 1).to(device)


def translator(case: Case, device: torch.device) -> tuple[torch.nn.Module, Tensor]:
    """A translator of slices with random weights, and a volume [1, channels, SLICES, S, S]."""
    parser = read_config(case.bundle, {**case.overrides, "image_size": case.image_size, "device": device})
    torch.manual_seed(0)
    network = parser.get_parsed_content("network").eval()
    if "modalities" in parser:
        channels = len(parser.get_parsed_content("modalities"))
    else:
        channels = bundle_metadata(case.bundle)["network_data_format"]["inputs"]["image"]["num_channels"]
    volume = torch.empty(1, channels, SLICES, case.image_size, case.image_size).uniform_(-1, 1)
    return network, volume.to(device)


def preparation(case: Case, device: torch.device) -> float:
    """Seconds from a scan's file to the cube of HU that training sees; the reference uses scikit-image's ``resize``."""
    chain = preprocessing(case.image_size, case.reference)
    with tempfile.TemporaryDirectory() as folder:
        path = write_scan(Path(folder))
        return seconds(lambda: chain({"image": str(path)}), case, device)


def preprocessing(image_size: int, reference: bool) -> Compose:
    """The bundles' chain for CT; for the reference one step after the other, with the resizing of the papers' code."""
    if not reference:
        return ct_preprocessing(image_size)
    steps = [ReplaceNaNd("image"), CalibrateHUd("image"), DropBlankSlicesd("image")]
    clip = Lambdad("image", lambda hu: hu.clamp(*CT_WINDOW))
    return Compose([*load_volume(), *steps, clip, ReferenceResized("image", image_size), Lambdad("image", torch.round)])


def write_scan(folder: Path) -> Path:
    """A chest phantom in the size of a LUNA16 scan, with noise: .mhd and .raw."""
    phantom = thorax_ct(0, [n // 4 for n in SCAN])  # at full size it would take longer than what is measured
    small = torch.from_numpy(phantom.hu).float()[None, None]
    hu = F.interpolate(small, size=SCAN, mode="trilinear")[0, 0].numpy()
    hu += np.random.default_rng(0).normal(0, NOISE, SCAN)
    image = sitk.GetImageFromArray(np.rint(hu).astype(np.int16))
    image.SetSpacing([mm / 4 for mm in phantom.spacing])
    sitk.WriteImage(image, str(folder / "scan.mhd"))
    return folder / "scan.mhd"


class ReferenceResized(MapTransform):
    """``skimage.transform.resize`` of [1, axial, H, W] to a cube, as HA-GAN's and CRF-GAN's scripts call it."""

    def __init__(self, keys: str, image_size: int) -> None:
        super().__init__(keys)
        self.image_size = image_size

    def __call__(self, data):
        try:
            from skimage.transform import resize
        except ImportError as error:
            raise ValueError("the reference preparation needs scikit-image: pip install scikit-image") from error
        d = dict(data)
        for key in self.key_iterator(d):
            # in double precision, to which scikit-image turns the whole numbers of a scan
            cube = resize(d[key][0].numpy().astype(np.float64), (self.image_size,) * 3, mode="constant", cval=-1024)
            d[key] = convert_to_dst_type(cube[None], d[key])[0]
        return d


def seconds(act: Callable[[], object], case: Case, device: torch.device) -> float:
    """Mean duration of an action over ``steps`` times, after ``warmup`` others."""
    enabled = case.precision != "fp32"
    with torch.inference_mode(), torch.autocast(device.type, PRECISIONS[case.precision], enabled=enabled):
        for _ in range(case.warmup):
            act()
        started = _now(device)
        for _ in range(case.steps):
            act()
        return (_now(device) - started) / case.steps


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
