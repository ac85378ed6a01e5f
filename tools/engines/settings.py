"""Options of a config, looked at before anything is read, built or written."""

from __future__ import annotations

import math
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import torch

from tools.engines.trainer import PRECISIONS
from tools.transforms.latent import SEED_LIMIT

Images = TypeVar("Images", bound=Sized)

Rule = Callable[[Any], str | None]
"""What was expected of a value, None if it is that."""


def check_settings(**settings: Any) -> None:
    """Refuse options that a run cannot work with, all at once and by their names, before hours are spent.

    Args:
        settings: option -> its value, for those in ``RULES``.

    Raises:
        ValueError: some of them will not do.
    """
    problems = [problem for name, value in settings.items() for problem in _problems(name, RULES[name], value)]
    if problems:
        raise ValueError("\n  ".join(["these options will not do:", *problems]))


def renamed(old: str, value: Any, new: str, default: Any, values: Mapping[Any, Any] | None = None) -> Any:
    """Value of an option that had another name before, for one version.

    Args:
        old: former name.
        value: value given by the former name; None if none was.
        new: present name.
        default: value if none was given.
        values: present values by former ones, if those are renamed too.

    Raises:
        ValueError: the value is none of the former ones.
    """
    if value is None:
        return default
    if values is not None and value not in values:
        raise ValueError(f"--{old} is {value!r}, expected one of {', '.join(map(str, values))}; it is now --{new}.")
    value = value if values is None else values[value]
    warnings.warn(
        f"--{old} is now called --{new}, and the old name goes with the next version. Give --{new} {value}.",
        FutureWarning,
        stacklevel=2,
    )
    return value


def enough_for_a_batch(images: Images, batch_size: int) -> Images:
    """Return what is given, a list of images or a sampler of them, if a batch can be made of it.

    Raises:
        ValueError: there is not enough.
    """
    if len(images) < batch_size:
        raise ValueError(
            f"--batch_size {batch_size} is more than the {len(images)} images that there are to train on, for each "
            f"process. Give more data, or --batch_size {max(1, len(images))}."
        )
    return images


def halvable(image_size: int, levels: int) -> int:
    """Return the side of a slice, if a network of so many levels can halve it.

    Raises:
        ValueError: the side is not divisible by so many halves.
    """
    times = 2 ** (levels - 1)
    if image_size % times:
        raise ValueError(
            f"--image_size {image_size} is not divisible by {times}, and the network's {levels} levels halve slices "
            f"{levels - 1} times. Give --image_size {max(1, round(image_size / times)) * times}, for instance."
        )
    return image_size


def divisible(volume_size: Sequence[int], levels: int, patch: int = 1) -> list[int]:
    """Return the slices, rows and columns of a volume, if a network of so many levels can halve each, on patches of
    so many voxels a side.

    Raises:
        ValueError: a length is not divisible by so many halves.
    """
    times = patch * 2 ** (levels - 1)
    if any(length % times for length in volume_size):
        fitting = [max(1, round(length / times)) * times for length in volume_size]
        halved = "volumes" if patch == 1 else f"patches of {patch} voxels a side"
        raise ValueError(
            f"--volume_size {list(volume_size)} has a length that {times} does not divide, and the network's {levels} "
            f"levels halve {halved} {levels - 1} times. Give --volume_size {fitting}, for instance."
        )
    return list(volume_size)


def cubic(volume_size: Sequence[int]) -> int:
    """Return the side of a volume that is a cube.

    Raises:
        ValueError: the volume is no cube.
    """
    side = volume_size[0]
    if list(volume_size) != [side] * 3:
        raise ValueError(f"--volume_size is {list(volume_size)}; this bundle reads cubes. Give --image_size {side}.")
    return side


def next_divisible(volume_size: Sequence[int], levels: int, patch: int = 1) -> list[int]:
    """Return the least slices, rows and columns, as many or more, that are `divisible`."""
    times = patch * 2 ** (levels - 1)
    return [-(-length // times) * times for length in volume_size]


def multiples(size: Sequence[int], divisor: int) -> list[int]:
    """Return the size of a volume, if ``divisor`` divides each length.

    Raises:
        ValueError: the divisor does not divide one.
    """
    if any(length % divisor for length in size):
        fitting = [max(1, round(length / divisor)) * divisor for length in size]
        raise ValueError(
            f"--size {list(size)} has a length that {divisor} does not divide, as often as the networks halve a "
            f"volume. Give --size {fitting}, for instance."
        )
    return list(size)


def full_batches(sampler: Sized, batch_size: int) -> bool:
    """True, the value of a loader's ``drop_last``, if there is enough for one batch; else as `enough_for_a_batch`."""
    return enough_for_a_batch(sampler, batch_size) is not None


def _problems(name: str, rule: Rule, value: Any) -> list[str]:
    if isinstance(value, Mapping) and isinstance(rule, EachNetwork):
        return [problem for key, inner in value.items() for problem in _problems(f"{name}#{key}", rule.rule, inner)]
    expected = rule(value)
    return [] if expected is None else [f"--{name} {value!r}: {expected}"]


@dataclass(frozen=True)
class EachNetwork:
    """A rule for the value of each network, or of whatever else has a name."""

    rule: Rule

    def __call__(self, value: Any) -> str:
        return "expected a value for each network, by its name, for instance --learning_rates#generator 1e-4"


def whole(low: int, high: float = math.inf) -> Rule:
    """A whole number from ``low``, to ``high`` if given."""
    says = f"expected a whole number from {low}{'' if high == math.inf else f' to {high}'}"
    return lambda value: None if _is_whole(value) and low <= value <= high else says


def odd(value: Any) -> str | None:
    return None if _is_whole(value) and value > 0 and value % 2 else "expected an odd number, 1 or more"


def number(low: float, below: float = math.inf) -> Rule:
    """A finite number from ``low``, less than ``below``."""
    says = f"expected a number from {low:g}{'' if below == math.inf else f' to below {below:g}'}"
    return lambda value: None if _is_number(value) and low <= value < below else says


def several(rule: Rule, count: int) -> Rule:
    """So many values that all keep a rule."""

    def check(value: Any) -> str | None:
        if not isinstance(value, list | tuple) or len(value) != count:
            return f'expected {count} numbers, for instance "[{", ".join(["0.5"] * count)}]"'
        return next((expected for inner in value if (expected := rule(inner))), None)

    return check


def widths(value: Any) -> str | None:
    """Channels of each level of a network, which its normalisation divides into groups of 8."""
    if isinstance(value, list | tuple) and value and all(_is_whole(v) and v > 0 and v % 8 == 0 for v in value):
        return None
    return 'expected a multiple of 8 for each level, for instance "[32, 64, 128]"'


def window(value: Any) -> str | None:
    """Two numbers, the lower first."""
    if isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value)) and value[0] < value[1]:
        return None
    return 'expected two numbers, the lower first, for instance "[-1024, 600]"'


def encoding(value: Any) -> str | None:
    """How classes are channels, see `tools.transforms.channels.Channels`."""
    return (
        None if value == "one_hot" or (_is_number(value) and value > 0) else "expected one_hot, or a factor such as 40"
    )


def one_of(*names: str) -> Rule:
    return lambda value: None if value in names else f"expected one of {', '.join(names)}"


def true_or_false(value: Any) -> str | None:
    """One of the two, and no word that would count as true."""
    return None if isinstance(value, bool) else "expected True or False"


def optional(rule: Rule) -> Rule:
    """None, or what a rule says."""
    return lambda value: None if value is None else rule(value)


def sphere(value: Any) -> str | None:
    """A place in mm and a diameter above 0."""
    if isinstance(value, list | tuple) and len(value) == 4 and all(map(_is_number, value)) and value[3] > 0:
        return None
    return 'expected x, y, z in mm of RAS and a diameter in mm, for instance "[-60.0, 15.0, -120.0, 12.0]"'


def millimetres(value: Any) -> str | None:
    """A length above 0, or one for each axis."""
    lengths = value if isinstance(value, list | tuple) and len(value) in (2, 3) else [value]
    return None if all(_is_number(v) and v > 0 for v in lengths) else "expected millimetres above 0"


def device(value: Any) -> str | None:
    """A device of torch that can be used here, by name or as an object."""
    if isinstance(value, str | torch.device):
        try:
            torch.zeros(1, device=value)
        except Exception as error:  # torch raises four kinds of error
            return f"this device cannot be used here ({str(error).splitlines()[0][:200]}). There is: {_devices()}"
        return None
    return f"expected the name of a device. There is: {_devices()}"


def folder_for_writing(value: Any) -> str | None:
    """A folder into which files can be written; it is made, with those above it."""
    if not isinstance(value, str | os.PathLike):
        return "expected a folder"
    try:
        Path(value).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=value):
            pass
    except OSError as error:
        return f"nothing can be written into this folder ({error.strerror}). Give another one"
    return None


def resume(value: Any) -> str | None:
    if value in (None, "auto") or (isinstance(value, str | os.PathLike) and Path(value).is_file()):
        return None
    return "no such file. Expected a checkpoint of a run, or auto"


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _devices() -> str:
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    names = [] if accelerator is None else [f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count())]
    return ", ".join(["cpu", *names])


RULES: dict[str, Rule] = {
    "device": device,
    "ckpt_dir": folder_for_writing,
    "output_dir": folder_for_writing,
    "resume": resume,
    "precision": one_of(*PRECISIONS),
    **dict.fromkeys(("deterministic", "preconditioned"), true_or_false),
    "seed": whole(0, SEED_LIMIT - 1),
    **dict.fromkeys(("image_size", "load_size", "latent_dim", "base_channels", "discriminator_channels"), whole(1)),
    **dict.fromkeys(("sub_encoder_channels", "channels"), whole(1)),
    **dict.fromkeys(("batch_size", "accumulation", "max_epochs", "val_interval", "save_interval"), whole(1)),
    **dict.fromkeys(("num_workers", "num_classes", "constant_epochs", "slab_length"), whole(0)),
    **dict.fromkeys(("volume_size", "size"), several(whole(1), 3)),
    **{"spacing": several(number(1e-3), 3), "enlarge": number(1)},
    **{"components": whole(0), "uniform_side": optional(number(1))},
    "control": one_of("controlnet", "concatenation"),
    "sphere": optional(sphere),
    **{"margin": number(0), "context": whole(0), "repeats": whole(1)},
    "voxel_size": number(1e-3),
    **dict.fromkeys(("margins", "diameters"), several(number(0), 2)),
    "nodules": whole(1),
    "outer": number(0, 0.5),
    "condition_range": window,
    **dict.fromkeys(("network_channels", "autoencoder_channels"), widths),
    **dict.fromkeys(("latent_channels", "autoencoder_epochs"), whole(1)),
    **dict.fromkeys(("codebook", "adversarial_start"), whole(0)),
    "loss_weights": EachNetwork(number(0)),
    **dict.fromkeys(("num_res_blocks", "patch", "autoencoder_patch", "steps", "half_life"), whole(1)),
    **{"mask_size": several(whole(1), 3), "regions": whole(0, 3)},
    **dict.fromkeys(("mask_steps", "num_splits", "mask_num_splits"), whole(1)),
    **dict.fromkeys(
        ("style_dim", "mapping_layers", "num_layers", "r1_interval", "blur_images", "channel_base", "channel_max"),
        whole(1),
    ),
    **dict.fromkeys(("width", "network_width", "doublings"), whole(1)),
    **dict.fromkeys(("hidden_channels", "code_channels", "generator_steps"), whole(1)),
    "every": EachNetwork(whole(1)),
    "adversarial": one_of("wasserstein", "logistic"),
    "lipschitz": one_of("penalty", "clipping"),
    **{"epsilon": optional(number(1e-3)), "delta": number(0, 1), "max_norm": number(1e-9)},
    **dict.fromkeys(("generator_architecture", "discriminator_architecture"), one_of("orig", "skip", "resnet")),
    "ramp_up": optional(number(0)),
    **dict.fromkeys(("label_weight", "reconstruction_weight"), number(0)),
    **dict.fromkeys(("num_volumes", "num_train_timesteps"), whole(1)),
    "val_slices": whole(2),
    "layout": one_of("nifti", "png", "dicom"),
    **dict.fromkeys(("rows", "columns", "frames", "projection_steps"), whole(1)),
    **{"coarse_layers": whole(0), "stops": whole(2), "film": optional(one_of("gif", "webp"))},
    "encoding": encoding,
    "prediction": one_of("epsilon", "v", "flow"),
    "sampler": optional(one_of("ddim", "ddpm", "pndm")),
    **dict.fromkeys(("guidance", "eta", "truncation", "gamma", "blur", "path_length_weight"), number(0)),
    **dict.fromkeys(("penalty", "drift", "class_weight"), number(0)),
    **dict.fromkeys(("augment", "drop_class", "mirror", "style_mixing", "whole"), number(0, 1)),
    "truncated_layers": optional(whole(0)),
    "frozen": whole(0),
    "class_label": optional(whole(0)),
    "inference_batch_size": optional(whole(1)),
    "slices": odd,
    **dict.fromkeys(("training_images", "largest_batch"), whole(1)),
    "rates": EachNetwork(number(0)),
    "iterations": optional(whole(1)),
    "crf_iterations": optional(whole(1)),
    "crf_nodes": one_of("slices", "channels"),
    "learning_rate": number(0),
    "learning_rates": EachNetwork(number(0)),
    "betas": several(number(0, 1), 2),
    "ema_decay": number(0, 1),
    "mind_weight": number(0),
    "implementation": one_of("optimised", "reference"),
    "window": window,
    "second_window": optional(window),
    "field_of_view": optional(millimetres),
}
"""What is expected of each option."""
