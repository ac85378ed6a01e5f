"""Addresses that a study's people open."""

from __future__ import annotations

from tools.study.folder import Access, Reader

LOCAL = "http://127.0.0.1:8080"


def reader_link(address: str, reader: Reader) -> str:
    """The personal link of a reader, at an address such as https://study.example.org."""
    return f"{address.rstrip('/')}/r/{reader.token}"


def links(access: Access, address: str) -> list[tuple[str, str]]:
    """Return the personal link of everyone, by name, at an address such as https://study.example.org."""
    administrator = f"{address.rstrip('/')}/admin/{access.admin}"
    return [("administrator", administrator)] + [
        (reader.name, reader_link(address, reader)) for reader in access.readers
    ]
