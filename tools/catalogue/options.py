"""What the options of the bundles' configs do: a sentence each, said once, and the tables of them in READMEs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]

STRUCTURE = {
    *("imports", "initialize", "run", "finalize", "scales", "defaults", "settings", "compress", "train", "validate")
}
"""Ids that hold a config together: no options, though they are written out."""

RENAMED = {"plain": "implementation", "lean": "checkpointing", "structure_weight": "mind_weight"}
"""Former name of an option -> its name. For one version the former names work too, with a warning."""

PLACES = {
    "bundle_root": "folder in which the bundle keeps `models`, `eval`, `phantoms` and `cache`",
    "output_dir": "where results go",
    "device": "`cpu`, `cuda`, `cuda:1`, ...",
}
TRAIN = {
    "dataset_dir": "folder with the data, see above; without it phantoms are made",
    "image_size": "side of what the networks see, in voxels or pixels",
    "max_epochs": "length of the training",
    "batch_size": "of each process",
    "accumulation": "parts into which a batch is split to save memory",
    "precision": "`fp32`, `bf16` or `fp16`",
    "seed": "of every random number of the training",
    "deterministic": "`False` lets cuDNN take its fastest algorithms, which are not the same each time",
    "resume": "`auto` goes on from the newest whole checkpoint; or the file of one",
    "val_interval": "epochs between validations",
    "save_interval": "epochs between checkpoints",
    "betas": "of Adam",
    "num_workers": "processes that read data",
    "window": "grey values or HU that stand for -1 and 1",
    "phantoms": "number, seed and voxels of the phantoms, and what they show",
}
PLACES_OF_TRAINING = {
    **PLACES,
    "ckpt_dir": "where weights and checkpoints go",
    "cache_dir": "where preprocessed data are kept",
}
INFERENCE = {"ckpt_path": "the weights"}
EVALUATE = {
    "ckpt_path": "the weights",
    "features": "where distances are taken: `untrained`, `untrained-slices`, `radiomics`, `medicalnet`, `inception`",
    "weights": "file or folder with the weights of `medicalnet` and `inception`; downloaded without it",
    "resamples": "bootstrap samples behind an interval",
}
COMMON = {
    "train": (TRAIN, PLACES_OF_TRAINING),
    "inference": (INFERENCE, PLACES),
    "reconstruct": (INFERENCE, PLACES),
    "inpaint": (INFERENCE, PLACES),
    "mixing": (INFERENCE, PLACES),
    "interpolation": (INFERENCE, PLACES),
    "projection": (INFERENCE, {}),
    "evaluate": (EVALUATE, {}),
}
"""Config -> what all families share: what stands before their own options in a table, and what stands after."""

COMPUTED = {
    "$@bundle_root + '/eval'": "`eval` in `bundle_root`",
    "$@bundle_root + '/reconstruction'": "`reconstruction` in `bundle_root`",
    "$@bundle_root + '/inpainted'": "`inpainted` in `bundle_root`",
    "$@bundle_root + '/models'": "`models` in `bundle_root`",
    "$@bundle_root + '/cache'": "`cache` in `bundle_root`",
    "$@bundle_root + '/models/model.pt'": "`models/model.pt`",
    "$@bundle_root + '/models/model_ct2mr.pt'": "`models/model_ct2mr.pt`",
    "$@ckpt_dir + '/model.pt'": "`models/model.pt`",
    "$weights_beside(@ckpt_path, 'encoder')": "`encoder.pt` beside `ckpt_path`",
    "$weights_beside(@ckpt_path, 'encoders')": "`encoders.pt` beside `ckpt_path`",
    "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')": "a GPU if there is one",
    "$os.path.join(@data_dir, 'participants.csv')": "`participants.csv` of the data",
    "$os.path.join(@data_dir, 'labels.csv')": "`labels.csv` of the data",
    "$renamed('plain', @plain, 'implementation', 'optimised', {True: 'reference', False: 'optimised'})": "`optimised`",
    "$renamed('lean', @lean, 'checkpointing', @implementation == 'optimised' and @image_size >= 256)": ""
    "true from 256 on",
    "$renamed('structure_weight', @structure_weight, 'mind_weight', 0.0)": "0.0",
    "$[3 * @image_size // 4, @image_size, 3 * @image_size // 4]": "`image_size` rows, and 3/4 of it slices and columns",
    "$(@image_size // 4).bit_length() - 1": "as often as 4 rows become `image_size`",
    "$10 * @volume_size[0] * @volume_size[1] * @volume_size[2] / 860160": "10 at 80 x 96 x 112 voxels, in "
    "proportion to their number",
    "$@prediction == 'flow'": "true for a flow",
    "$3 if @denoiser_path is None else int(model_settings(@denoiser_path, {}).get('regions', 1))": "3, or as the "
    "denoiser that is given",
    "$8 if @denoiser_path is None else model_settings(@denoiser_path, {}).get('uniform_side')": "8, or as the denoiser "
    "that is given",
    "$8 if @prediction == 'flow' else None": "8 for a flow",
    "$16 if @preconditioned else 0": "16 for a flow",
    "$16 if @preconditioned and @regions == 3 else 0": "16",
    "$model_settings(@denoiser_path, {}).get('components', 0) if @denoiser_path else 0": "0, or as the denoiser "
    "that is given",
    "$@denoiser_path is None or model_settings(@denoiser_path, {}).get('preconditioned', False)": "true, or as the "
    "denoiser of `denoiser_path`",
    "$@max_epochs // 2": "half of `max_epochs`",
    "$@training_images / 20": "a 20th of `training_images`",
    "$@training_images * 0.024": "0.024 of `training_images`",
    "$@sample_channels.names[0]": "the first",
    "$round(@image_size * 286 / 256)": "286/256 of `image_size`",
    "$None if @ct_dir is None else 'abdomen'": "`abdomen` with `ct_dir`",
    "$0.0002 * @image_size ** 2 / @batch_size": "0.0002 times `image_size` squared over `batch_size`",
    "$2.0 * (@image_size / 256) ** 2": "2 at 256 pixels, 4 times as much for twice the side",
    "$10.0 if @rotation else 0.0": "0; 10 for R",
    "$@batch_size * 200000 // 32": "200,000 with batches of 32, in proportion to them",
    "$@batch_size * 10000 // 32": "10,000 with batches of 32, in proportion to them",
    "$[*@trained['diameters']]": "those that were trained on",
    "$sum(@margins) / 2": "the mean of `margins` of the training",
    "$len(@real)": "as many as there are real ones",
    "$[*@images][0]": "the first",
    "$torch.device(@device).type == 'cuda'": "true on a GPU",
    "$'made' if 'mask_denoiser' in @networks else 'none'": "`made` if the weights have networks for that, else `none`",
    "$30 if @form == 'rflow' else 1000": "30; 1000 for weights of the first form",
    "$len(@real_data)": "as many as there are real ones",
    "$len(@real_files)": "as many as there are real ones",
    "$@data_dir + '/Test_Sets' if @dataset_dir is None else @data_dir": "`dataset_dir`, or the held-out phantoms",
    "$@trained['data']['field_of_view_mm']": "that of the training volumes",
    "$[@image_size] * 3": "`image_size` each",
    "$[*reversed(@volume_size)]": "those of the training",
    "$[extent / n for extent, n in zip(reversed(@trained['data']['field_of_view_mm']), @size)]": "with which the "
    "volume has the extent of the training volumes",
    "$0.0005 if @dataset_dir is None else 0.0002": "0.0002; 0.0005 with phantoms",
    "$'layer' if @lipschitz == 'penalty' else 'batch'": "`layer`; `batch` with `clipping`",
    "$0.0001 if @lipschitz == 'penalty' else 0.00005": "0.0001; 0.00005 with `clipping`",
    "$'layer' if @adversarial == 'wasserstein' else 'batch'": "`layer`; `batch` with `logistic`",
    "$0.0004 if @dataset_dir is None else 0.0001": "0.0001; 0.0004 with phantoms",
    "$0.001 if @dataset_dir is None else 0.0002": "0.0002; 0.001 with phantoms",
    "$0.0001 if @crf_nodes == 'slices' else 0.0004": "0.0001 (0.0004 with `channels`)",
    "$'half' if @num_classes > 0 else 'none'": "`none`, by class `half`",
    "@crf_iterations": "60000",
}
"""Expression of a config -> what it gives, in words."""


MISSING = object()


def described(family: Mapping[str, Mapping[str, str]], config: str) -> dict[str, str]:
    """id -> sentence, of all options that a config of a family may have, in the order of the table."""
    name = "inference" if config.startswith("inference") else config
    first, last = COMMON[name]
    return {**first, **family.get(name, {}), **last}


def literal_options(config: Config) -> set[str]:
    """Top-level ids that hold a value a user may change, and nothing that is built or computed."""
    return {
        id for id, value in config.items() if id not in {*STRUCTURE, *RENAMED} and "#" not in id and _literal(value)
    }


def table(config: Config, sentences: Mapping[str, str]) -> str:
    """The options of a config as rows of a Markdown table."""
    rows = ["| option | default | |", "|---|---|---|"]
    for id, sentence in sentences.items():
        value = found(config, id)
        if value is MISSING or (isinstance(value, str) and re.fullmatch(r"\$@trained\['\w+'\]", value)):
            continue
        if id == "volume_size" and found(config, "cubes") is not MISSING:  # whose side is the option
            continue
        if isinstance(value, dict) and value:
            names = ", ".join(f"`{id}#{key}`" for key in value)
            rows.append(f"| {names} | {', '.join(_default(config, item) for item in value.values())} | {sentence} |")
        else:
            default = "the bundle's folder" if id == "bundle_root" else _default(config, value)  # packed ones find it
            rows.append(f"| `{id}` | {default} | {sentence} |")
    return "\n".join(rows)


def found(config: Config, id: str) -> Any:
    """Return what a config has by an id, nested ones with #; `MISSING` if nothing."""
    node: Any = config
    for key in id.split("#"):
        if not isinstance(node, Mapping) or key not in node:
            return MISSING
        node = node[key]
    return node


def _literal(value: Any) -> bool:
    if isinstance(value, str):
        return not value.startswith(("$", "@", "%"))
    if isinstance(value, dict):
        return "_target_" not in value and any(_literal(item) for item in value.values())
    return not isinstance(value, list) or all(_literal(item) for item in value)


def _default(config: Config, value: Any) -> str:
    """A default as a reader of the table needs it; an expression that a user has given stays one."""
    if isinstance(value, str) and value.startswith(("$", "@")):
        scale = re.fullmatch(r"\$@scales\[@scale\]\['(\w+)'\]", value)
        if scale is None:
            return COMPUTED.get(value, f"`{value}`").replace("|", "\\|")
        phantom, paper = (config["scales"][name][scale[1]] for name in ("phantom", "paper"))
        return str(paper) if phantom == paper else f"{paper}; {phantom} with phantoms"
    return f"`{value}`" if isinstance(value, str) else json.dumps(value)
