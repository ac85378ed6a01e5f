"""``docs/data_license.txt``: the terms of the data that a bundle is made from."""

from __future__ import annotations

PHANTOMS = "The phantoms that the bundle makes where no data are given are computed by its own code (Apache-2.0)."


def data_license(*paragraphs: str) -> str:
    """`docs/data_license.txt`: numbered paragraphs, indented where they have several lines."""
    numbered = []
    for number, paragraph in zip(("i.", "ii.", "iii.", "iv."), paragraphs, strict=False):
        first, *rest = paragraph.strip().splitlines()
        numbered += [f"{number} {first}", *(f"   {line}" for line in rest)]
    return "\n".join(numbered) + "\n"
