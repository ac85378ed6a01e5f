"""What is measured, and how: one case of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One measurement.

    Args:
        table: "memory" or "speed" of training, or a key of `tools.benchmark.measure.MEASURES`.
        bundle, image_size, batch_size, precision, overrides: what is trained or used.
        device: of torch.
        threads: that torch may use on the CPU.
        steps, warmup: iterations (or repetitions) that are timed, and those before them; not for "memory".
        plain: as the original algorithm is written, not as fast as the bundle can.
        slab_length: axial slices that are generated at a time, 0 for all.
        profile: also record what the time is spent in, from the start to the end, which itself takes time.
        tf32: whether a GPU may round the factors of fp32 products to 10 bits; None as torch has it by default: in
            convolutions, but not in matrix products.
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
    plain: bool = False
    slab_length: int = 0
    profile: bool = False
    tf32: bool | None = None

    def __str__(self) -> str:
        how = "plain " if self.plain else ""
        return f"{how}{self.table} of {self.bundle} at {self.image_size}, batch {self.batch_size}"
