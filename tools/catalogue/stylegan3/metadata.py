"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config
from tools.catalogue.slices.metadata import latent_tensor, made_tensor, slice_words
from tools.catalogue.stylegan3.entry import OF_NETWORK, PHANTOM_SIZE, StyleGAN3Bundle

PAPERS = (
    "Karras T, Aittala M, Laine S, Härkönen E, Hellsten J, Lehtinen J, Aila T. Alias-free generative adversarial "
    "networks. NeurIPS 2021, arXiv 2106.12423.",
)


def metadata(bundle: StyleGAN3Bundle) -> Config:
    data = bundle.data
    return metadata_of(
        "generate",
        {"0.1.0": f"first version: training, inference and evaluation of StyleGAN3 on {data.what}"},
        slice_words(
            data,
            "StyleGAN3",
            "a style-based generator without aliasing, which makes them of a latent vector at once, and whose details "
            "move with what they belong to",
            "T. Karras, M. Aittala, S. Laine, E. Härkönen, J. Hellsten, J. Lehtinen and T. Aila",
            f"latent vector of {OF_NETWORK['latent_dim']} independent standard normal numbers",
            PAPERS,
        ),
        latent_tensor(OF_NETWORK["latent_dim"]),
        made_tensor(data, PHANTOM_SIZE),
        also=("highdicom",),  # of labelled folders
    )
