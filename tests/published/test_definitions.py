"""The networks have the parameters and tensors of the published definitions; nothing of them is in memory."""

import pytest

from tests.published.files import networks
from tools.catalogue.published import BUNDLES
from tools.published.sources import SOURCES

PUBLISHED = {
    ("maisi_ct", "rflow", "autoencoder"): (20_944_897, 130),
    ("maisi_ct", "rflow", "denoiser"): (180_500_868, 435),
    ("maisi_ct", "rflow", "controlnet"): (72_037_072, 231),
    ("maisi_ct", "rflow", "mask_denoiser"): (197_163_012, 558),
    ("maisi_ct", "rflow", "mask_autoencoder"): (5_256_509, 114),
    ("maisi_ct", "ddpm", "autoencoder"): (20_944_897, 130),
    ("maisi_ct", "ddpm", "denoiser"): (169_370_884, 372),
    ("maisi_ct", "ddpm", "controlnet"): (68_644_944, 196),
    ("monai_brats_ldm", "ddpm", "autoencoder"): (21_000_353, 130),
    ("monai_brats_ldm", "ddpm", "denoiser"): (189_325_576, 296),
    ("monai_brain_ldm", "ddpm", "autoencoder"): (13_766_248, 162),
    ("monai_brain_ldm", "ddpm", "denoiser"): (553_168_899, 528),
}
"""Parameters and tensors by bundle, form and network."""


@pytest.mark.parametrize(("bundle", "form"), [(name, form) for name, forms in SOURCES.items() for form in forms])
def test_parameters_and_tensors(bundle, form):
    whole = networks(bundle, form, sizes={}, device="meta")
    expected = {network: counts for (b, f, network), counts in PUBLISHED.items() if (b, f) == (bundle, form)}
    found = {
        name: (sum(p.numel() for p in child.parameters()), len(child.state_dict()))
        for name, child in whole.named_children()
    }
    assert {name: found[name] for name in expected} == expected
    assert found.keys() == {source.network for source in SOURCES[bundle][form]}


def test_readmes_have_the_same_numbers():
    told = {counts for bundle in BUNDLES for counts in bundle.parameters.values()}
    assert told == set(PUBLISHED.values())
