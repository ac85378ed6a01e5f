"""Small networks, and the few small phantoms of which their batches are."""

PHANTOMS = {"phantoms#count": 6, "phantoms#shape": [32, 32, 32]}
TINY = {"base_channels": 8, "latent_dim": 16, "discriminator_channels": 16} | PHANTOMS
SLICES = {"phantoms#count": 4, "phantoms#shape": [16, 16, 16]}
NARROW = {"channels": 4, "discriminator_channels": 4} | SLICES
DATA = (*PHANTOMS, "num_classes", "slices")  # what a batch depends on, besides bundle and size
STYLED = {"channel_base": 256, "channel_max": 16, "latent_dim": 16, "style_dim": 16}
STYLED |= {"phantoms#count": 4, "phantoms#shape": [26, 40, 40]}
WIDTHS = {"base_channels": 4, "hidden_channels": 8, "code_channels": 8, "latent_dim": 8}
WIDTHS |= {"channel_base": 64, "channel_max": 8, "network_width": 8, "style_dim": 8, "mapping_layers": 2}
CRF, HA = "crf_gan_luna16", "ha_gan_luna16"
