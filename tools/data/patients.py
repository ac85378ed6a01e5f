"""Parts of the patients of a datalist, for members of an ensemble that should not all have seen the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tools.errors import check_choice

WAYS = ("all", "bootstrap", "partition")
"""How patients are divided: each member has all, a bootstrap draw of them, or a part that no other has."""


def patients_of(
    datalist: Sequence[dict[str, Any]], way: str, member: int, members: int, seed: int = 0
) -> list[dict[str, Any]]:
    """The items of those patients that a member is trained on.

    A bootstrap draws as many patients as there are with replacement (Efron, Annals of Statistics 1979); who is drawn
    several times is taken once, since a store has each case once: about 63 percent of the patients, without weights.

    Args:
        datalist: items with "subject", or "id" that stands for it.
        way: one of `WAYS`.
        member: number of the member, from 1.
        members: number of members.
        seed: random seed, one for all members.

    Raises:
        ValueError: another way, a member that there is not, or fewer patients than members.
    """
    check_choice("patients", way, WAYS)
    if not 1 <= member <= members:
        raise ValueError(f"member is {member}, expected 1 to {members}")

    def subject(item: dict[str, Any]) -> str:
        return str(item.get("subject", item["id"]))

    names = sorted({subject(item) for item in datalist})
    if way == "all":
        return list(datalist)
    if len(names) < members:
        raise ValueError(f"there are {len(names)} patients for {members} members; take patients='all', or fewer")
    if way == "partition":
        order = np.random.default_rng(seed).permutation(len(names))
        chosen = order[member - 1 :: members]
    else:
        chosen = np.random.default_rng((seed, member)).integers(len(names), size=len(names))
    kept = {names[number] for number in chosen}
    return [item for item in datalist if subject(item) in kept]
