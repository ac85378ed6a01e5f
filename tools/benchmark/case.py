"""What is measured, and how: one case of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One measurement.

    Args:
        table: "memory" or "speed" of training, or a key of `tools.benchmark.measure.MEASURES`.
        bundle: name of the bundle.
        image_size: voxels or pixels a side.
        batch_size: volumes or slices in a batch.
        precision: "fp32", "bf16" or "fp16".
        overrides: further entries of train.json.
        device: device of torch.
        threads: number of threads that torch may use on the CPU.
        steps: iterations (or repetitions) that are timed; not for "memory".
        warmup: iterations before those; not for "memory".
        reference: True for the reference implementation, as the released code computes; False for the optimised one.
        slab_length: axial slices that are generated at a time, 0 for all.
        profile: True also records the time of every operation, from the start to the end, which itself takes time.
        tf32: True lets a GPU round the factors of fp32 products to 10 bits; None leaves torch's default: in
            convolutions, but not in matrix products.
        batch: file of the batch that is trained on; without one it is made first.
    """

    table: str
    bundle: str
    image_size: int
    batch_size: int
    precision: str = "fp32"
    device: str = "cpu"
    threads: int = 1
    steps: int = 1
    warmup: int = 0
    overrides: dict[str, Any] = field(default_factory=dict)
    reference: bool = False
    slab_length: int = 0
    profile: bool = False
    tf32: bool | None = None
    batch: str = ""

    def __str__(self) -> str:
        how = "reference " if self.reference else ""
        return f"{how}{self.table} of {self.bundle} at {self.image_size}, batch {self.batch_size}"
