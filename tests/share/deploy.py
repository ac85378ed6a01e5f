"""What MONAI Deploy's `MonaiBundleInferenceOperator` (monai-deploy-app-sdk 3.0) does with a bundle, step by step.

    python deploy.py MODEL.TS TOOLS IMAGE.NPZ RESULT.NPZ

The SDK is not needed. TOOLS is the folder of the unpacked bundle, which an application has beside its own code.
IMAGE.NPZ has an image as the SDK's `DICOMSeriesToVolumeOperator` makes it: "array" [D, H, W] and "affine".
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import first


def bundle_config(model: Path) -> ConfigParser:
    """From the TorchScript file alone, `get_bundle_config`."""
    parser = ConfigParser()
    with TemporaryDirectory() as folder, zipfile.ZipFile(model) as archive:
        parser.read_meta(json.loads(archive.read(f"{model.stem}/extra/metadata.json")))
        parser.read_config(archive.extract(f"{model.stem}/extra/inference.json", folder))
    parser.parse()
    return parser


def without_files(compose):
    """`filter_compose`: what loads and saves files is left out by the name of its class."""
    kept = [t for t in compose.transforms if not any(name in type(t).__name__ for name in ("LoadImage", "SaveImage"))]
    compose.transforms = tuple(kept)
    assert isinstance(first(compose.transforms), MapTransform)
    return compose


def image_of(array: np.ndarray, affine: np.ndarray) -> MetaTensor:
    """`_convert_from_image_dicom_source`: [W, H, D] without channels, and what the SDK says of it."""
    array = np.swapaxes(array, 0, 2)
    meta = {"nifti_affine_transform": affine, "SeriesInstanceUID": "1.2.3", "original_channel_dim": "no_channel"}
    meta |= {
        "original_affine": affine,
        "affine": affine.copy(),
        "space": "LPS",
        "spatial_shape": np.asarray(array.shape),
    }
    return MetaTensor.ensure_torch_and_prune_meta(array, meta)


def main(model: Path, tools: str, image: Path, result: Path) -> None:
    sys.path.insert(0, tools)
    parser = bundle_config(model)
    device = parser.get_parsed_content("device")
    inferer = parser.get_parsed_content("inferer")
    preprocessing, postprocessing = (
        without_files(parser.get_parsed_content(name)) for name in ("preprocessing", "postprocessing")
    )
    ((input_name, _),) = parser["_meta_"]["network_data_format"]["inputs"].items()
    ((output_name, _),) = parser["_meta_"]["network_data_format"]["outputs"].items()
    network = torch.jit.load(model, map_location=device).eval()
    with np.load(image) as content, torch.no_grad():
        inputs = preprocessing({input_name: image_of(content["array"], content["affine"])})
        prediction = inferer(inputs=inputs[input_name][None].to(device), network=network)
        made = postprocessing({output_name: prediction[0], **inputs})[output_name]
    # `_send_output` wants [1, W, H, D] and makes [D, H, W] of it
    np.savez(result, array=np.swapaxes(np.squeeze(made.cpu().numpy(), 0), 0, 2))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
