"""What CRF-GAN and HA-GAN share: the generator of whole volumes from an embedding that is decoded slab by slab.

Neither is a family of its own here: ``tools/catalogue/crf_gan.py`` and ``ha_gan.py`` are, each by its `Method`.
"""
