"""``python -m tools filter_samples``: synthetic samples that could be real ones by what is measured of them."""
