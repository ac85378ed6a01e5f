"""Several trained bundles, or several weights of one, as one generator."""
