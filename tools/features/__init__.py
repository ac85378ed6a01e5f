"""Feature spaces: networks and radiomics that turn images into the vectors in which sets are compared."""
