"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config
from tools.catalogue.slices.metadata import latent_tensor, made_tensor, slice_words
from tools.catalogue.stylegan2.entry import OF_NETWORK, PHANTOM_SIZE, StyleGAN2Bundle

PAPERS = (
    "Karras T, Laine S, Aittala M, Hellsten J, Lehtinen J, Aila T. Analyzing and improving the image quality of "
    "StyleGAN. CVPR 2020, arXiv 1912.04958.",
    "Karras T, Aittala M, Hellsten J, Laine S, Lehtinen J, Aila T. Training generative adversarial networks with "
    "limited data. NeurIPS 2020, arXiv 2006.06676.",
)


def metadata(bundle: StyleGAN2Bundle) -> Config:
    data = bundle.data
    return metadata_of(
        "generate",
        {"0.1.0": f"first version: training, inference and evaluation of {bundle.method} on {data.what}"},
        slice_words(
            data,
            bundle.method,
            "a style-based generator, which makes them of a latent vector at once",
            "T. Karras, S. Laine, M. Aittala, J. Hellsten, J. Lehtinen and T. Aila",
            f"latent vector of {OF_NETWORK['latent_dim']} independent standard normal numbers",
            PAPERS,
        ),
        latent_tensor(OF_NETWORK["latent_dim"]),
        made_tensor(data, PHANTOM_SIZE),
        also=("highdicom",),  # of labelled folders
    )
