"""Writing of what was made into a folder that keeps account of it: what all such transforms share."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Generic, TypeVar

from monai.config import KeysCollection
from monai.transforms import MapTransform

from tools.io.provenance import Provenance

Folder = TypeVar("Folder")


class WriteIntod(MapTransform, Generic[Folder]):
    """Base of transforms that add items to a folder.

    Args:
        keys: keys of what is written.
        folder: folder to which items are added; its `finish` is the caller's.
        provenance: origin of the items, which every file says.
        name_key: key of an item's name.
        seed_key: key of the number that an item follows from; may be missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        folder: Folder,
        provenance: Provenance,
        name_key: str = "name",
        seed_key: str = "seed",
    ) -> None:
        super().__init__(keys)
        self.folder = folder
        self.provenance = provenance
        self.name_key = name_key
        self.seed_key = seed_key

    def named(self, data: Mapping[Hashable, Any]) -> tuple[str, dict[str, Any]]:
        """Name of an item, and what its files say of its origin."""
        seed = data.get(self.seed_key)
        return str(data[self.name_key]), self.provenance.record(None if seed is None else int(seed))
