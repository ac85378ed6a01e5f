"""``python -m tools fetch_weights``: published weights become a bundle's own, once looked at and accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.apps import download_url
from monai.bundle import ConfigParser

from tools.engines.weights import save_model
from tools.errors import check_choice, did_you_mean
from tools.networks.published import PublishedDiffusion
from tools.options import named_folders
from tools.published.layouts import fitted, read_published
from tools.published.sources import SOURCES, Source

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"


def fetch_weights(
    name: str,
    weights: str | None = None,
    form: str | None = None,
    accept_license: bool = False,
    download_dir: str | None = None,
    output_dir: str | None = None,
    sizes: Mapping[str, Any] | None = None,
) -> None:
    """Turn published weights into `models/model.pt` of a bundle that runs them.

    Their licence is shown first, and nothing is read before it is accepted. Each file is held against the network that
    it is said to be of before anything is written.
    Example: python -m tools fetch_weights maisi_ct --weights /data/maisi --accept_license True

    Args:
        name: name of the bundle.
        weights: folder with the published files, also in folders below, or the files by network, as
            denoiser=FILE,autoencoder=FILE; without it they are downloaded from where they are published.
        form: form of MAISI's diffusion, rflow (the second version) or ddpm (the first).
        accept_license: True accepts the licence of the weights.
        download_dir: folder for downloads; `models/published` of the bundle without it.
        output_dir: folder for model.pt; `models` of the bundle without it.
        sizes: widths of networks that are not those published, by their ids in inference.json, such as
            "{'denoiser_channels': [32, 64]}".
    """
    forms = SOURCES.get(str(name))
    if forms is None:
        raise ValueError(
            f"no weights are published for {name!r}, expected one of {', '.join(SOURCES)}.{did_you_mean(name, SOURCES)}"
        )
    form = form or next(iter(forms))
    check_choice("--form", form, forms)
    show_licences(forms[form])
    if accept_license is not True:
        raise ValueError(
            f"the licence of the weights of {name}, shown above, is not accepted: read it, and give --accept_license "
            "True if you do"
        )
    folder = BUNDLES / name
    if weights is None:
        paths = downloaded(forms[form], Path(download_dir or folder / "models" / "published"))
    else:
        paths = found_files(forms[form], str(weights))
    content = ConfigParser.load_config_file(folder / "configs" / "inference.json")
    network, settings = assembled(content, forms[form], paths, form, sizes)
    path = Path(output_dir or folder / "models") / "model.pt"
    save_model(path, network, settings, "model")
    print(f"wrote {path}: {', '.join(settings['networks'])}")


def show_licences(sources: Sequence[Source]) -> None:
    """Print the licences of files of weights, with the files that each is of."""
    for licence in dict.fromkeys(source.licence for source in sources):
        files = ", ".join(source.names[0] for source in sources if source.licence == licence)
        print(f"{files}:\n  {licence.name}: {licence.gist}.\n  Its text: {licence.where}")


def downloaded(sources: Sequence[Source], folder: Path) -> dict[str, Path]:
    """Network -> file, fetched into ``folder`` if it is not there yet, and held against its checksum if it has one.

    Raises:
        OSError: a file cannot be fetched.
    """
    paths = {}
    for source in sources:
        path = folder / source.names[0]
        try:
            download_url(source.url, filepath=path, hash_val=source.md5, hash_type="md5")
        except Exception as error:  # urllib, sockets and MONAI raise ten kinds of error
            raise OSError(
                f"{source.names[0]} could not be fetched from {source.url} ({type(error).__name__}: {error}). Without "
                "a connection fetch it elsewhere, and give its folder with --weights"
            ) from error
        paths[source.network] = path
    return paths


def found_files(sources: Sequence[Source], given: str) -> dict[str, Path]:
    """Network -> file of those that a user has given, as a folder or one by one.

    Raises:
        FileNotFoundError: a file that is needed is not there.
        ValueError: a network that is not known, or files that are needed together and only one of which is there.
    """
    known = {source.network: source for source in sources}
    if "=" in given:
        paths = {network: Path(path) for network, path in named_folders("--weights", given).items()}
        if odd := [network for network in paths if network not in known]:
            raise ValueError(f"--weights names {', '.join(odd)}, expected {', '.join(known)}")
        if missing := [path for path in paths.values() if not path.is_file()]:
            raise FileNotFoundError(f"{missing[0]} is no file, expected one with published weights")
    else:
        folder = Path(given)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} is no folder; give --weights a folder with the published files, or denoiser=FILE,..."
            )
        there: dict[str, Path] = {}
        for path in sorted(folder.rglob("*.pt*")):
            there.setdefault(path.name, path)
        paths = {
            network: next(there[file] for file in source.names if file in there)
            for network, source in known.items()
            if any(file in there for file in source.names)
        }
    for network, source in known.items():
        if source.needed and network not in paths:
            raise FileNotFoundError(
                f"{given} has no file of the {network}: looked for {' or '.join(source.names)}. It is published at "
                f"{source.url}; a file of another name is given as {network}=FILE"
            )
    masks = {"mask_denoiser", "mask_autoencoder"} & known.keys()
    if masks & paths.keys() and not {*masks, "controlnet"} <= paths.keys():
        lacking = ", ".join(sorted({*masks, "controlnet"} - paths.keys()))
        raise ValueError(
            f"{given} has files that make label maps, and none of the {lacking}, without which they do not"
        )
    return paths


def assembled(
    content: Mapping[str, Any],
    sources: Sequence[Source],
    paths: Mapping[str, Path],
    form: str,
    sizes: Mapping[str, Any] | None = None,
) -> tuple[PublishedDiffusion, dict[str, Any]]:
    """The networks of a bundle with published weights, and what its `model.pt` says of them.

    Args:
        content: the bundle's `inference.json`.
        sources: files that are published.
        paths: network -> file.
        form: form of the diffusion.
        sizes: widths that are not those published, by id of the config.

    Raises:
        ValueError: a file is not of its network; see `fitted`.
    """
    defaults = content["defaults"]
    if odd := [key for key in sizes or {} if key not in defaults or key in ("form", "networks")]:
        raise ValueError(f"there is no --{odd[0]}.{did_you_mean(odd[0], defaults, '--')}")
    chosen = {
        **defaults,
        **(sizes or {}),
        "networks": [source.network for source in sources if source.network in paths],
    }
    chosen |= {"form": form} if "form" in defaults else {}
    parser = ConfigParser({**content, "device": "cpu", "trained": chosen})
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def")
    state: dict[str, torch.Tensor] = {}
    for source in sources:
        if source.network not in paths:
            continue
        path = paths[source.network]
        tensors, scale = read_published(path, source.key)
        part = fitted(tensors, getattr(network, source.network), path)
        state |= {f"{source.network}.{name}": tensor for name, tensor in part.items()}
        number = {"denoiser": "scale_factor", "mask_denoiser": "mask_scale_factor"}.get(source.network)
        if number is not None:
            if scale is None and source.key is not None:
                raise ValueError(f"{path} has no 'scale_factor', without which its latents cannot be decoded")
            state[number] = torch.tensor(1.0 if scale is None else scale)
    network.load_state_dict(state, assign=True)
    settings = {
        "bundle": content["origin"]["bundle"],
        **chosen,
        "published": {network: path.name for network, path in paths.items()},
        "licences": sorted({source.licence.name for source in sources if source.network in paths}),
    }
    return network, settings
