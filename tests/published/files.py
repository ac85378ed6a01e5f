"""Files of random weights as they are published, of networks with the published structure and narrow layers."""

import re

import torch
from monai.bundle import ConfigParser

from tests.tiny import config_file
from tools.published.sources import SOURCES

NARROW = {
    "maisi_ct": {
        **{f"{name}_channels": [32, 32, 32] for name in ("autoencoder", "mask_autoencoder")},
        **{f"{name}_channels": [32, 32, 64, 64] for name in ("denoiser", "mask_denoiser")},
    },
    "monai_brats_ldm": {"autoencoder_channels": [32, 32, 32], "denoiser_channels": [64, 64, 64]},
    "monai_brain_ldm": {"autoencoder_channels": [32, 32, 32, 32], "denoiser_channels": [32, 32, 32]},
}
SCALES = {"denoiser": 0.8, "mask_denoiser": 1.1}
BEFORE = (
    (r"\.attn\.to_([qkv])\.", r".to_\1."),
    (r"\.attn\.out_proj\.", ".proj_attn."),
    (r"\.attn(\d)\.out_proj\.", r".attn\1.to_out.0."),
    (r"\.upsampler\.postconv\.", ".upsampler.conv."),
    (r"\.postconv\.", ".conv."),
)
"""Present names of MONAI's networks -> those of GenerativeModels."""


def networks(bundle, form="rflow", sizes=None, device="cpu", every=True):
    """The networks of a bundle's config, all of them or those that it needs; narrow ones without ``sizes``."""
    content = ConfigParser.load_config_file(config_file(bundle, "inference"))
    chosen = {**content["defaults"], **(NARROW[bundle] if sizes is None else sizes), "form": form}
    if every:
        chosen["networks"] = [source.network for source in SOURCES[bundle].get(form, SOURCES[bundle].get("ddpm"))]
    with torch.device(device):
        return ConfigParser({**content, "device": "cpu", "trained": chosen}).get_parsed_content("network_def")


def former(state):
    """A state dict by the names of GenerativeModels."""
    for pattern, name in BEFORE:
        state = {re.sub(pattern, name, key): tensor for key, tensor in state.items()}
    return state


def write_files(folder, bundle, form="ddpm", layout=dict, every=True):
    """Write published files of random weights; the networks that they are of."""
    torch.manual_seed(0)
    whole = networks(bundle, form, every=every)
    for parameter in whole.parameters():
        if parameter.ndim > 1:  # MONAI begins some with zeros, whose output says nothing
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    folder.mkdir(parents=True, exist_ok=True)
    for source in SOURCES[bundle][form]:
        network = getattr(whole, source.network)
        if network is None:
            continue
        state = layout(network.state_dict())
        if source.key is not None:
            scale = {"scale_factor": torch.tensor(SCALES[source.network])} if source.network in SCALES else {}
            state = {"epoch": 3, source.key: state, **scale}
        torch.save(state, folder / source.names[0])
    if form in ("rflow", "ddpm") and bundle == "maisi_ct":
        whole.scale_factor.fill_(SCALES["denoiser"])
        if every:
            whole.mask_scale_factor.fill_(SCALES["mask_denoiser"])
    return whole.eval()
