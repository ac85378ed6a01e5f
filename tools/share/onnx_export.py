"""``python -m tools onnx``: a trained network as ONNX that says what it is."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import onnx as onnx_format
from monai.bundle import onnx_export

from tools.files import whole_file
from tools.io.provenance import KEY, Provenance, description
from tools.share.configs import load_config
from tools.share.content import as_json
from tools.share.metadata import trained_format

REPOSITORY = Path(__file__).resolve().parents[2]


def onnx(name: str, filepath: str = "model.onnx", trained: str | None = None, bundles_dir: str | None = None) -> str:
    """Write the network of a bundle as ONNX, for any number of inputs at once.

    It is what MONAI's `onnx_export` writes, and has in its `metadata_props` the bundle's `metadata.json` and where its
    weights come from.

    Args:
        name: name of the bundle, a folder in bundles_dir.
        filepath: path of the ONNX file.
        trained: the folder that holds `models`; by default the bundle's own.
        bundles_dir: the folder that holds the bundle, which may be packed; by default the repository's `bundles`.

    Returns:
        The file's path.
    """
    return str(write_onnx(Path(bundles_dir or REPOSITORY / "bundles") / str(name), filepath, trained))


def write_onnx(bundle: Path, path: str | os.PathLike, trained: str | os.PathLike | None = None) -> Path:
    """The same for a bundle's folder.

    Raises:
        FileNotFoundError: there is no such bundle, or it has no weights.
        ValueError: its network takes more than one input, which MONAI cannot export.
    """
    configs, weights = bundle / "configs", Path(trained or bundle) / "models" / "model.pt"
    for needed, what in ((configs / "metadata.json", "bundle"), (weights, "weights")):
        if not needed.is_file():
            raise FileNotFoundError(f"no {what} at {needed}; say with --trained which folder has `models`")
    metadata = load_config(configs / "metadata.json")
    settings = load_config(weights.with_suffix(".json")) if weights.with_suffix(".json").is_file() else {}
    if settings.get("num_classes", 0) > 0:
        raise ValueError(
            f"{weights} generates by class, from two inputs, and MONAI exports networks of one: export TorchScript "
            "(python -m monai.bundle ckpt_export)"
        )
    metadata["network_data_format"] = trained_format(metadata["network_data_format"], settings)
    record = Provenance(bundle.name, metadata["version"], weights).record()
    batches = {"image": {0: "batch"}, "pred": {0: "batch"}}
    with whole_file(path) as partial, tempfile.TemporaryDirectory() as folder:
        meta_file = Path(folder) / "metadata.json"
        meta_file.write_bytes(as_json(metadata))
        onnx_export(
            net_id="network_def",
            filepath=str(partial),
            ckpt_file=str(weights),
            meta_file=str(meta_file),
            config_file=str(configs / "inference.json"),
            use_trace=True,
            converter_kwargs={"input_names": ["image"], "output_names": ["pred"], "dynamic_axes": batches},
            bundle_root=str(weights.parents[1]),
        )
        model = onnx_format.load(partial)
        model.doc_string = description(record)
        onnx_format.helper.set_model_props(model, {"metadata.json": json.dumps(metadata), KEY: json.dumps(record)})
        onnx_format.save(model, partial)
    return Path(path)
