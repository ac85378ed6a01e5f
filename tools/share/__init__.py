"""Bundles that travel: packed into archives that run by themselves, checked, listed and looked into before they run."""
