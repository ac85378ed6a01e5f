"""Attacks that guess who was in a training set: what each assumes, what it found, and what so few patients can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tools.metrics.membership import Membership, membership
from tools.privacy.audit import InSpace
from tools.privacy.white_box import DENOISING, DISCRIMINATOR, Evidence

DISTANCE, DENSITY = "distance to the nearest sample", "density of samples over that of others (DOMIAS)"

ASSUMES = {
    DISTANCE: "has samples, and the images that are asked about",
    DENSITY: "has samples, the images that are asked about, and real images of other people from the same source",
    DISCRIMINATOR: "has the discriminator's weights, and the images that are asked about, prepared as for its training",
    DENOISING: "has the denoiser's weights, and the images that are asked about, prepared as for its training",
}
"""Name of each attack -> what the attacker has."""


@dataclass(frozen=True)
class Attack:
    """An attack that was tried.

    Attributes:
        name: a key of `ASSUMES`.
        where: feature space, or network.
        found: result of it.
    """

    name: str
    where: str
    found: Membership

    @property
    def succeeds(self) -> bool:
        """Whether members can be told from others beyond chance: its interval lies above 0.5."""
        return self.found.auc.low > 0.5


def attacks_of(spaces: Mapping[str, InSpace], evidence: Evidence | None = None) -> tuple[Attack, ...]:
    """All that were tried: in the spaces of an audit, and with a network's weights."""
    return tuple(_attacks(spaces, evidence))


def _attacks(spaces: Mapping[str, InSpace], evidence: Evidence | None) -> Iterator[Attack]:
    for where, space in spaces.items():
        for name, found in ((DISTANCE, space.by_distance), (DENSITY, space.by_density)):
            if found is not None:
                yield Attack(name, where, found)
    if evidence is not None:
        yield Attack(evidence.kind, evidence.network, membership(evidence.members, evidence.others))


def record_of(attack: Attack) -> dict[str, Any]:
    """An attack for `privacy.json`."""
    found = attack.found
    rows = {key: value._asdict() if hasattr(value, "_asdict") else value for key, value in found._asdict().items()}
    return {"attack": attack.name, "in": attack.where, "assumes_that_who_attacks": ASSUMES[attack.name]} | rows


def row_of(attack: Attack) -> dict[str, str]:
    """An attack for the page's table."""
    found = attack.found
    return {
        "name": attack.name,
        "where": attack.where,
        "assumes": ASSUMES[attack.name],
        "area": f"{found.auc.value:.3f} ({found.auc.low:.3f} to {found.auc.high:.3f})",
        "chance": f"{1 - found.notable:.2f} to {found.notable:.2f}",
        "caught": f"{found.caught.value:.3f} ({found.caught.low:.3f} to {found.caught.high:.3f})",
        "by_chance": f"{found.by_chance:.3f}",
        "accused": f"{round(found.accused.value * found.others)} of {found.others}: at most {found.accused.high:.2g}",
        "numbers": f"{found.members} and {found.others}",
    }


def conclusion_of(attacks: tuple[Attack, ...]) -> str:
    """A sentence on all attacks, "" where none was tried."""
    if not attacks:
        return ""
    won = [attack for attack in attacks if attack.succeeds]
    if not won:
        widest = max(attack.found.notable for attack in attacks)
        return (
            f" None of {len(attacks)} tests of membership tells training patients from others; they would have shown "
            f"an area above {widest:.2f} at the least."
        )
    best = max(won, key=lambda attack: attack.found.auc.value)
    return (
        f" {len(won)} of {len(attacks)} tests of membership tell training patients from others, best the "
        f"{best.name} in {best.where}, with an area of {best.found.auc.value:.2f}."
    )
