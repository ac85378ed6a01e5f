"""What is measured: cases of the benchmark, and the bounds within which a device must agree with the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tools.benchmark.case import Case
from tools.benchmark.configs import dimensions, translates
from tools.gpu.life import train_config

EQUALITY_SIZE = 64
TRAINING_BOUNDS = {"fp64": 1e-9, "fp32": 1e-2, "tf32": 3e-1}
"""Bounds of the relative difference of losses and gradients of a step."""

EMBEDDED_TIMES = 1e-6
"""The bound of fp64 where there is diffusion: MONAI embeds times in fp32 whatever the network's precision is."""

OUTPUT_BOUNDS = {"fp32": 1e-3, "tf32": 5e-2}
"""Bounds of the difference of a voxel, in [-1, 1]."""

PRECISIONS = ("fp32", "tf32", "bf16")


class Measurement(NamedTuple):
    """A case, and the words for its precision and form; ``bound`` is what its value may be at most, None for any."""

    case: Case
    precision: str
    form: str = ""
    bound: float | None = None


def in_precision(case: Case, precision: str) -> Case:
    """tf32 is how a GPU multiplies in fp32 if it may."""
    return replace(case, precision="fp32" if precision == "tf32" else precision, tf32=precision == "tf32")


def equality(bundles: Iterable[str], size: int, **common: Any) -> list[Measurement]:
    """Losses, gradients and outputs beside the CPU's."""
    tables = (
        ("device_training_difference", "losses and gradients", TRAINING_BOUNDS),
        ("device_output_difference", "output", OUTPUT_BOUNDS),
    )

    def allowed(bundle: str, precision: str, bound: float) -> float:
        return EMBEDDED_TIMES if precision == "fp64" and "scheduler" in train_config(bundle) else bound

    return [
        Measurement(
            in_precision(Case(table, bundle, size, 1, **common), precision),
            precision,
            form,
            allowed(bundle, precision, bound),
        )
        for bundle in bundles
        for table, form, bounds in tables
        for precision, bound in bounds.items()
    ]


def speed(bundles: Iterable[str], sizes: Sequence[int], **common: Any) -> list[Measurement]:
    """Training steps in every precision; by the reference and compiled where the bundle can."""
    found = []
    for bundle in bundles:
        config = train_config(bundle)
        for size in sizes:
            case = Case("speed", bundle, size, 2, **common)
            found += [Measurement(in_precision(case, precision), precision) for precision in PRECISIONS]
            if "implementation" in config:
                found.append(Measurement(in_precision(replace(case, reference=True), "tf32"), "tf32", "reference"))
            if "compile" in config:
                compiled = replace(case, overrides={**case.overrides, "compile": True})
                found += [Measurement(in_precision(compiled, p), p, "compiled") for p in PRECISIONS[1:]]
    return found


def memory(bundles: Iterable[str], sizes: Sequence[int], batches: Sequence[int], **common: Any) -> list[Measurement]:
    """A training step of the bundles that generate volumes, which the paper's Table 4 has."""
    return [
        Measurement(Case("memory", bundle, size, batch, **common), "torch's default")
        for bundle in bundles
        if not translates(bundle)
        for size in sizes
        for batch in batches
    ]


def generation(bundles: Iterable[str], sizes: Sequence[int], **common: Any) -> list[Measurement]:
    """A volume of the bundles that make some and have a reference: whole, by that, and by slabs into a file."""
    found = []
    for bundle in bundles:
        if "implementation" not in train_config(bundle) or dimensions(bundle) != 3:
            continue
        for size in sizes:
            case = Case("generation", bundle, size, 1, **common)
            found += [Measurement(in_precision(case, precision), precision, "whole") for precision in PRECISIONS]
            found.append(Measurement(in_precision(replace(case, reference=True), "tf32"), "tf32", "reference"))
            slabs = replace(case, slab_length=min(32, size // 2))
            found.append(Measurement(in_precision(slabs, "tf32"), "tf32", "by slabs into a file"))
    return found


def common_overrides(bundle: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Those that the bundle's train.json has."""
    config = train_config(bundle)
    return {key: value for key, value in overrides.items() if key.split("#")[0] in config}
