"""Where published weights are, under which names and licences, and what each file holds.

Names, addresses and checksums are those of the releases' own lists: `large_files.yml` of MONAI's model zoo, and
`scripts/download_model_data.py` of NVIDIA-Medtech/NV-Generate-CTMR.
"""

from __future__ import annotations

from dataclasses import dataclass

ZOO = "https://developer.download.nvidia.com/assets/Clara/monai/tutorials"
HUB = "https://huggingface.co/nvidia/NV-Generate-CT/resolve/main/models"
DRIVE = "https://drive.google.com/uc?export=download&id"


@dataclass(frozen=True)
class Licence:
    """Terms of weights, which are not this project's.

    Attributes:
        name: its name.
        where: address of its text, or where it is found.
        gist: sentence that a user should know before reading it.
    """

    name: str
    where: str
    gist: str


NCLS = Licence(
    "NVIDIA NCLS v1",
    "the LICENSE file of maisi_ct_generative in MONAI's model zoo, "
    "https://github.com/Project-MONAI/model-zoo/tree/dev/models/maisi_ct_generative",
    "research and other non-commercial use alone",
)
OPEN_MODEL = Licence(
    "NVIDIA Open Model License",
    "https://www.nvidia.com/en-us/agreements/enterprise-software/nvidia-open-model-license",
    "the licence that NVIDIA states for nvidia/NV-Generate-CT; it has conditions of its own",
)
APACHE = Licence(
    "Apache 2.0, of the model zoo's bundle",
    "http://www.apache.org/licenses/LICENSE-2.0",
    "the bundle states no other licence for its weights; the data that they were trained on have their own terms",
)


@dataclass(frozen=True)
class Source:
    """A file of weights.

    Attributes:
        network: name of the network in `PublishedDiffusion`.
        names: names that the file has where it is published, the first that of ``url``.
        url: address that it is fetched from.
        licence: its terms.
        md5: its checksum as published; None where none is.
        key: key of the state dict, where the file holds more; it holds the number "scale_factor" then.
        needed: False where the bundle also runs without.
    """

    network: str
    names: tuple[str, ...]
    url: str
    licence: Licence
    md5: str | None = None
    key: str | None = None
    needed: bool = True


_AUTOENCODER = ("autoencoder_epoch273.pt", "model_maisi_autoencoder_epoch273_alternative.pt")
_MASKS = (
    Source(
        "mask_denoiser",
        ("mask_generation_diffusion_unet.pt", "model_maisi_mask_generation_diffusion_unet_v2.pt"),
        f"{ZOO}/model_zoo/model_maisi_mask_generation_diffusion_unet_v2.pt",
        NCLS,
        md5="e96310b960a748d68737d190712fbb80",
        key="unet_state_dict",
        needed=False,
    ),
    Source(
        "mask_autoencoder",
        ("mask_generation_autoencoder.pt",),
        f"{ZOO}/mask_generation_autoencoder.pt",
        NCLS,
        md5="b177778820f412abc9218cdb7ce3b653",
        needed=False,
    ),
)
_V1 = "input_unet3d_data-all_steps1000size512ddpm_random_current_inputx_v1"
_CONTROL_V1 = "controlnet-20datasets-e20wl100fold0bc_noi_dia_fsize_current"

SOURCES: dict[str, dict[str, tuple[Source, ...]]] = {
    "maisi_ct": {
        "rflow": (
            Source("autoencoder", ("autoencoder_v1.pt", *_AUTOENCODER), f"{HUB}/autoencoder_v1.pt", OPEN_MODEL),
            Source(
                "denoiser",
                ("diff_unet_3d_rflow-ct.pt",),
                f"{HUB}/diff_unet_3d_rflow-ct.pt",
                OPEN_MODEL,
                key="unet_state_dict",
            ),
            Source(
                "controlnet",
                ("controlnet_3d_rflow-ct.pt",),
                f"{HUB}/controlnet_3d_rflow-ct.pt",
                OPEN_MODEL,
                key="controlnet_state_dict",
                needed=False,
            ),
            *_MASKS,
        ),
        "ddpm": (
            Source(
                "autoencoder",
                (*_AUTOENCODER, "autoencoder_v1.pt"),
                f"{ZOO}/model_zoo/{_AUTOENCODER[1]}",
                NCLS,
                md5="917cfb1e49631c8a713e3bb7c758fbca",
            ),
            Source(
                "denoiser",
                (f"{_V1}.pt", f"model_maisi_{_V1}_alternative.pt", "diff_unet_3d_ddpm-ct.pt"),
                f"{ZOO}/model_zoo/model_maisi_{_V1}_alternative.pt",
                NCLS,
                md5="623bd02ff223b70d280cc994fcb70a69",
                key="unet_state_dict",
            ),
            Source(
                "controlnet",
                (f"{_CONTROL_V1}.pt", f"model_maisi_{_CONTROL_V1}_alternative.pt", "controlnet_3d_ddpm-ct.pt"),
                f"{ZOO}/model_zoo/model_maisi_{_CONTROL_V1}_alternative.pt",
                NCLS,
                md5="6c36572335372f405a0e85c760fa6dee",
                key="controlnet_state_dict",
                needed=False,
            ),
            *_MASKS,
        ),
    },
    "monai_brats_ldm": {
        "ddpm": (
            Source(
                "autoencoder",
                ("model_autoencoder.pt", "model_autoencoder_brats_mri_generative_diffusion_v1.pt"),
                f"{ZOO}/model_zoo/model_autoencoder_brats_mri_generative_diffusion_v1.pt",
                APACHE,
                md5="9e6df4cc9a2decf49ab3332606b32c55",
            ),
            Source(
                "denoiser",
                ("model.pt", "model_brats_mri_generative_diffusion_v1.pt"),
                f"{ZOO}/model_zoo/model_brats_mri_generative_diffusion_v1.pt",
                APACHE,
                md5="35258b1112f701f3d485676d33141a55",
            ),
        )
    },
    "monai_brain_ldm": {
        "ddpm": (
            Source(
                "autoencoder",
                ("autoencoder.pt", "autoencoder.pth"),
                f"{DRIVE}=1CZHwxHJWybOsDavipD0EorDPOo_mzNeX",
                APACHE,
                md5="329e97b3085643ff235f11f049856242",
            ),
            Source(
                "denoiser",
                ("model.pt", "diffusion_model.pth"),
                f"{DRIVE}=1XO-ak93ZuOcGTCpgRtqgIeZq3dG5ExN6",
                APACHE,
                md5="21c3047556fb671caf0556f1cce6ef22",
            ),
        )
    },
}
"""Bundle -> form of its diffusion -> its files."""
