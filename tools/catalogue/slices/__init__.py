"""What generators of labelled slices share, whatever the network: data, validation, inference and evaluation."""
