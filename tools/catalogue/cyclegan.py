"""CycleGANs between MR and CT (Crespi et al.): configs and metadata of the paper's set-ups."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue import parts
from tools.catalogue.datasets import CHAOS, PHANTOMS, data_license
from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.options import TRANSLATION as OPTIONS  # noqa: F401 (for the tables of READMEs)
from tools.catalogue.parts import Config

MODALITY_NAMES = {"in_phase": "T1 in-phase", "out_phase": "T1 out-of-phase", "t2": "T2"}
PHANTOM_CT = {True: "contrast-enhanced", False: "non-contrast"}
TRAINED = ("image_size", "slices", "channels", "window", "field_of_view")
PAPER = (
    "Crespi L, Camnasio S, Dei D, Lambri N, Mancosu P, Scorsetti M, Loiacono D. Leveraging multimodal CycleGAN for the "
    "generation of anatomically accurate synthetic CT scans from MRIs."
)
CYCLEGAN = (
    "Zhu JY, Park T, Isola P, Efros AA. Unpaired image-to-image translation using cycle-consistent adversarial "
    "networks. ICCV 2017."
)


@dataclass(frozen=True)
class TranslationBundle:
    """A set-up: which MR becomes CT.

    Attributes:
        name: of the bundle.
        title: of the model, as the paper has it.
        modalities: contrasts of MR; they are the channels of one image, unless `pool`.
        pool: whether every contrast is an image of its own, all translated by the same generator.
        contrast_ct: whether the CT is contrast-enhanced, as CHAOS's is.
        own_mr: option that names a folder with further MR for training.
        whole_body_ct: whether CT of one's own is cropped to the abdomen.
        data: where the training data come from; CHAOS if empty.
        own_terms: the terms of data that are the user's own, for `docs/data_license.txt`.
    """

    name: str
    title: str
    modalities: tuple[str, ...]
    pool: bool = False
    contrast_ct: bool = True
    own_mr: str = ""
    whole_body_ct: bool = False
    data: str = ""
    own_terms: str = ""

    @property
    def branches(self) -> tuple[str, ...]:
        """Images that the generators take and make on the MR's side: each has its discriminator."""
        return ("mr",) if self.pool else self.modalities

    @property
    def discriminators(self) -> dict[str, Config]:
        in_ct = "$@slices * (1 if @second_window is None else 2)"
        return {"discriminator_ct": patch_discriminator(in_ct)} | {
            f"discriminator_{branch}": patch_discriminator("@slices") for branch in self.branches
        }

    def mr_studies(self, part: str) -> str:
        pool = ", pool=True" if self.pool else ""
        extra = f", extra_dir=@{self.own_mr}" if self.own_mr else ""
        return f"data.mr_studies(@data_dir, '{part}', @modalities{pool}{extra}, mr_dir=@mr_dir)"

    def ct_studies(self, part: str) -> str:
        return f"data.ct_studies(@data_dir, '{part}', ct_dir=@ct_dir)"

    def ct_slices(self, size: str, *more: str) -> str:
        axial_range = ["axial_range=@axial_range"] if self.whole_body_ct else []
        return f"$transforms.ct_slices({', '.join([size, '@window', '@field_of_view', *more, *axial_range])})"

    def phantoms(self, own: str = "") -> Config:
        """Phantoms where no data are given; ``own``: a dictionary of folders that stand in for the dataset."""
        return {
            "phantoms": {"count": 8, "seed": 0, "shape": [20, 96, 96], "contrast": self.contrast_ct},
            "data_dir": "$data.dataset_or_phantoms(@dataset_dir, @bundle_root + '/phantoms', "
            f"data.write_chaos_phantoms, {own}**@phantoms)",
        }


def patch_discriminator(in_channels: str) -> Config:
    """70 x 70 PatchGAN with instance norm."""
    return {
        "_target_": "PatchDiscriminator",
        "spatial_dims": 2,
        "in_channels": in_channels,
        "channels": "@discriminator_channels",
        "num_layers_d": 3,
        "norm": "INSTANCE",
        "bias": True,
    }


def generator(in_modalities: int, out_modalities: int) -> Config:
    return {
        "_target_": "tools.networks.cyclegan.TranslationGenerator",
        "in_modalities": in_modalities,
        "out_modalities": out_modalities,
        "slices": "@slices",
        "channels": "@channels",
    }


def train(bundle: TranslationBundle) -> Config:
    discriminators = bundle.discriminators
    mr_discriminators = [f"@discriminator_{branch}" for branch in bundle.branches]
    own = {"mr_dir": None, "ct_dir": None}
    if bundle.own_mr:
        own[bundle.own_mr] = None
    if bundle.whole_body_ct:
        own["axial_range"] = "$None if @ct_dir is None else 'abdomen'"
    # the identity loss needs as many channels in as out
    identity = {"identity_weight": 0.5} if len(bundle.branches) == 1 else {}
    return {
        "imports": parts.imports(
            "os",
            "monai",
            "torch",
            "tools.data as data",
            "tools.engines as engines",
            "tools.losses.structure as losses",
            "tools.transforms.slices as transforms",
        ),
        **parts.where_training_writes(bundle.name),
        **own,
        **parts.scales(
            phantom={"image_size": 64, "max_epochs": 2, "batch_size": 4, "val_interval": 2, "num_workers": 0},
            paper={"image_size": 256, "max_epochs": 200, "batch_size": 1, "val_interval": 10, "num_workers": 2},
            without_data="@dataset_dir is None and @mr_dir is None",
        ),
        "constant_epochs": "$@max_epochs // 2",
        "load_size": "$round(@image_size * 286 / 256)",
        "modalities": list(bundle.modalities),
        "slices": 1,
        "channels": 64,
        "discriminator_channels": 64,
        "window": [-1000, 1000],
        "second_window": None,
        "field_of_view": 400.0,
        **bundle.phantoms("{'mr_dir': @mr_dir, 'ct_dir': @ct_dir}, "),
        "train_mr": f"${bundle.mr_studies('training')}",
        "train_ct": f"${bundle.ct_studies('training')}",
        "val_data": f"$data.unpaired({bundle.mr_studies('validation')}, {bundle.ct_studies('validation')})",
        "cache_dir": "$@bundle_root + '/cache'",
        "precision": "fp32",
        "compile": False,
        "accumulation": 1,
        "structure_weight": 0.0,
        "learning_rate": 0.0002,
        "betas": [0.5, 0.999],
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *parts.TRAINING_OPTIONS,
            *("constant_epochs", "load_size", "slices", "channels", "discriminator_channels", "second_window"),
            *("field_of_view", "structure_weight", "learning_rate"),
        ),
        "network_def": generator(len(bundle.branches), 1),
        "generator_ct2mr_def": generator(1, len(bundle.branches)),
        **{f"{name}_def": definition for name, definition in discriminators.items()},
        "network": "$@network_def.to(@device)",
        "generator_ct2mr": "$@generator_ct2mr_def.to(@device)",
        **{name: f"$@{name}_def.to(@device)" for name in discriminators},
        "objective": {
            "_target_": "tools.losses.cyclegan.CycleGANObjective",
            "generator_mr2ct": "@network",
            "generator_ct2mr": "@generator_ct2mr",
            "discriminator_ct": "@discriminator_ct",
            "discriminators_mr": mr_discriminators,
            "crop_size": "@image_size",
            "flip": 0.5,
            "cycle_weight": 10.0,
            "structure_weight": "@structure_weight",
            **identity,
            "pool_size": 50,
            "window": "@window",
            "second_window": "@second_window",
        },
        "models": {"model": "@network", "model_ct2mr": "@generator_ct2mr"},
        "provenance": "$data.data_provenance(@data_dir, @train_mr + @train_ct)",
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            **{id: f"@{id}" for id in ("modalities", *TRAINED, "seed", "batch_size", "precision")},
            "structure_weight": "@structure_weight",
            "second_window": "@second_window",
            "data": "@provenance",
        },
        "train": {
            "mr_slices": slice_store(
                "$data.with_enough_slices(@train_mr, @train_ct, @batch_size)",
                "$transforms.mr_slices(@load_size, @field_of_view)",
            ),
            "ct_slices": slice_store("@train_ct", bundle.ct_slices("@load_size")),
            "dataset": {"_target_": "tools.data.UnpairedSlices", "mr": "@train#mr_slices", "ct": "@train#ct_slices"},
            "sampler": parts.sampler("tools.data.UnpairedSampler"),
            "dataloader": parts.training_loader(),
            "inferer": {"_target_": "tools.engines.SlabInferer", "slices": "@slices"},
            "schedule": {
                "_target_": "torch.optim.lr_scheduler.LambdaLR",
                "_mode_": "callable",
                "lr_lambda": "$engines.constant_then_linear(@constant_epochs, @max_epochs)",
            },
            "updates": [
                parts.update(
                    "generators",
                    {"generator_mr2ct": "@network", "generator_ct2mr": "@generator_ct2mr"},
                    parts.adam("$[*@network.parameters(), *@generator_ct2mr.parameters()]", "@learning_rate"),
                    "$@objective.generators_loss",
                    schedule="@train#schedule",
                ),
                parts.update(
                    "discriminators",
                    {name: f"@{name}" for name in discriminators},
                    parts.adam(
                        f"$[{', '.join(f'*@{name}.parameters()' for name in discriminators)}]", "@learning_rate"
                    ),
                    "$@objective.discriminators_loss",
                    schedule="@train#schedule",
                ),
            ],
            "handlers": parts.training_handlers(
                also={"pool_ct": "$@objective.pool_ct", "pool_mr": "$@objective.pool_mr"}
            ),
            "trainer": parts.trainer(compile="@compile"),
        },
        "validate": {
            **parts.validation_data(
                "@val_data",
                parts.compose(
                    "$transforms.mr_slices(@image_size, @field_of_view)", bundle.ct_slices("@image_size", "'label'")
                ),
            ),
            "key_metric": {
                "structure": {
                    "_target_": "IgniteMetricHandler",
                    "loss_fn": "$losses.volume_structure_loss",
                    "output_transform": "$monai.handlers.from_engine(['pred', 'image'])",
                    "save_details": False,
                }
            },
            "additional_metrics": {"fid": "$@validate#distances['fid']", "mmd": "$@validate#distances['mmd']"},
            "handlers": parts.validation_handlers(),
            "evaluator": parts.validator("@network"),
        },
        **parts.start_training(),
    }


def slice_store(data: str, transform: str) -> Config:
    return {
        "_target_": "tools.data.SliceStore",
        "data": data,
        "transform": transform,
        "cache_dir": "@cache_dir",
        "slices": "@slices",
    }


def defaults(image_size: int | str) -> Config:
    """Of what the weights say of their training."""
    return {"image_size": image_size, "slices": 1, "channels": 64, "window": [-1000, 1000], "field_of_view": 400.0}


def inference(bundle: TranslationBundle, to_mr: bool = False) -> Config:
    """From MR to CT, or the other way."""
    weights, picture = ("model_ct2mr", "montage_mr") if to_mr else ("model", "montage")
    window = [0, 1000] if to_mr else "@window"
    low, high = (0.0, 1000.0) if to_mr else ("$@window[0]", "$@window[1]")
    pool = ", pool=True" if bundle.pool and not to_mr else ""
    branches = len(bundle.branches)
    given, made = ("ct", bundle.branches) if to_mr else ("mr", ("ct",))
    return {
        "imports": parts.imports(
            "monai",
            "torch",
            "tools.data as data",
            "tools.engines as engines",
            "tools.transforms.slices as transforms",
        ),
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": "$@bundle_root + '/eval'",
        "ckpt_path": f"$@bundle_root + '/models/{weights}.pt'",
        "device": parts.DEVICE,
        "dataset_dir": None,
        **bundle.phantoms(),
        "studies_dir": "$@data_dir + '/Test_Sets' if @dataset_dir is None else @data_dir",
        "dicom": False,
        "inference_batch_size": None,
        "fuse": True,
        "mirror": False,
        "modalities": ["ct"] if to_mr else list(bundle.modalities),
        **parts.trained(bundle.name, defaults(256), TRAINED, weights),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check("device", "inference_batch_size", *TRAINED),
        "studies": f"$data.translation_studies(@studies_dir, @modalities{pool})",
        "network_def": generator(1, branches) if to_mr else generator(branches, 1),
        "network": "$@network_def.to(@device)",
        "preprocessing": "$transforms.ct_slices(@image_size, @window, @field_of_view)"
        if to_mr
        else "$transforms.mr_slices(@image_size, @field_of_view)",
        **parts.one_by_one("@studies"),
        "inferer": {
            "_target_": "tools.engines.SlabInferer",
            "slices": "@slices",
            "batch_size": "@inference_batch_size",
            "fuse": "@fuse",
            "mirror": "@mirror",
        },
        "postprocessing": parts.compose(
            parts.unscale(low, high),
            to_source_grid("pred", 0 if to_mr else "$@window[0]"),
            {"_target_": "CopyItemsd", "keys": "image", "names": given},
            to_source_grid(given, -1),
            parts.whole_numbers(),
            {
                "_target_": "tools.transforms.save.SaveTranslationd",
                "keys": "pred",
                "output_dir": "@output_dir",
                "names": list(made),
                "modality": "MR" if to_mr else "CT",
                "dicom": "@dicom",
                "provenance": "@origin",
            },
        ),
        "handlers": [
            parts.load_model("@ckpt_path", "@network"),
            parts.montage(f"{picture}.png", window, provenance="@origin", beside={given: [-1, 1]}, names=list(made)),
            parts.progress("Translation"),
        ],
        "evaluator": parts.evaluator(),
        **parts.start_inference(
            "$print('Translated', *[f\"{item['id']}\" for item in @dataset.data], 'to ' + @output_dir, sep='\\n  ')"
        ),
    }


def to_source_grid(key: str, outside: object) -> Config:
    return {
        "_target_": "tools.transforms.squares.ToSourceGridd",
        "keys": key,
        "source": "image",
        "outside": outside,
    }


def evaluate(bundle: TranslationBundle) -> Config:
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **parts.trained(bundle.name, defaults("$@scales[@scale]['image_size']"), TRAINED),
        "truth": "$data.true_ct(@data_dir)",
        "val_mr": f"${bundle.mr_studies('validation')}",
        "val_ct": f"${bundle.ct_studies('validation')}",
        **parts.spaces("untrained-slices"),
        "real": {
            "_target_": "tools.data.usable_dataset",
            "data": "@val_ct",
            "transform": bundle.ct_slices("@image_size"),
        },
        "validate#preprocessing": "$transforms.mr_slices(@image_size, @field_of_view)",
        "validate#dataset": {
            "_target_": "tools.data.usable_dataset",
            "data": "@val_mr",
            "transform": "@validate#preprocessing",
        },
        "report": {
            "_target_": "tools.metrics.translation.TranslationReport",
            "output_dir": "@output_dir",
            "real": "@real",
            "spaces": "@spaces",
            "window": "@window",
            "truth": "@truth",
            "name": bundle.name,
            "resamples": "@resamples",
            "seed": "@seed",
            "settings": {
                "bundle": bundle.name,
                "weights": "@ckpt_path",
                "data": "$@data_dir or [@mr_dir, @ct_dir]",
                "image_size": "@image_size",
                "window": "@window",
            },
        },
        **parts.run_report(),
    }


def metadata(bundle: TranslationBundle) -> Config:
    names = [MODALITY_NAMES[modality] for modality in bundle.modalities]
    channels = [" or ".join(names)] if bundle.pool else names
    image = {
        "spatial_shape": ["32*n", "32*n"],
        "dtype": "float32",
        "value_range": [-1, 1],
        "is_patch_data": False,
    }
    says = {
        "name": f"CycleGAN MR to CT: {bundle.title}",
        "task": "Translation of abdominal MR into synthetic CT",
        "description": f"CycleGAN that translates {_what(bundle)} into {PHANTOM_CT[bundle.contrast_ct]} abdominal CT, "
        "trained without pairs, slice by slice or in thin slabs.",
        "authors": "Contributors of this project; the method is by L. Crespi, S. Camnasio, D. Dei, N. Lambri, "
        "P. Mancosu, M. Scorsetti and D. Loiacono",
        "copyright": "Contributors of this project",
        "data_source": bundle.data or f"{CHAOS.source}; without it, abdomen phantoms that the bundle makes",
        "data_type": CHAOS.files,
        "image_classes": f"axial MR slice ({', '.join(channels)}), intensities scaled to [-1, 1]",
        "label_classes": "axial CT slices of other patients; [-1, 1] stands for [-1000, 1000] HU",
        "pred_classes": "axial CT slice, [-1, 1] stands for [-1000, 1000] HU",
        "eval_metrics": {},
        "intended_use": "Research on synthetic images. Not for diagnosis, treatment planning or any other clinical "
        "use.",
        "references": [PAPER, CYCLEGAN, CHAOS.reference],
    }
    return metadata_of(
        "translate",
        {"0.1.0": "first version: training, inference in both directions and evaluation"},
        says,
        {
            "type": "image",
            "format": "magnitude",
            "modality": "MR",
            "num_channels": len(channels),
            **image,
            "channel_def": {str(number): name for number, name in enumerate(channels)},
        },
        {
            "type": "image",
            "format": "hounsfield",
            "modality": "CT",
            "num_channels": 1,
            **image,
            "channel_def": {"0": "image"},
        },
    )


def _what(bundle: TranslationBundle) -> str:
    """The MR that is translated, in a sentence."""
    names = [MODALITY_NAMES[modality] for modality in bundle.modalities]
    if len(names) == 1:
        further = ", with further T1 volumes from elsewhere in training," if bundle.own_mr else ""
        return f"{names[0]} MR{further}"
    # the second T1 in a row needs no T1: T1 in-phase and out-of-phase
    if all(name.startswith("T1 ") for name in names):
        names = [names[0], *(name.removeprefix("T1 ") for name in names[1:])]
    if bundle.pool:
        return f"T1 MR, {' or '.join(name.removeprefix('T1 ') for name in names)},"
    return f"{', '.join(names[:-1])} and {names[-1]} MR, together,"


PARAMETERS = {1: (11_365_633, 11_365_633), 2: (16_589_825, 11_737_602), 3: (21_748_225, 12_109_571)}
"""Branches -> learnable parameters of the generators to CT and to MR."""


def facts(bundle: TranslationBundle) -> Config:
    """What the README says of this bundle besides its entry's fields."""
    return {
        "what": _what(bundle),
        "contrast": PHANTOM_CT[bundle.contrast_ct],
        "parameters": PARAMETERS[len(bundle.branches)],
    }


def configs(bundle: TranslationBundle) -> dict[str, Config]:
    return {
        "train": train(bundle),
        "inference": inference(bundle),
        "inference_ct2mr": inference(bundle, to_mr=True),
        "evaluate": evaluate(bundle),
    }


def terms(bundle: TranslationBundle) -> str:
    return data_license(*(text for text in (CHAOS.terms, bundle.own_terms, PHANTOMS) if text))


BUNDLES = (
    TranslationBundle("cyclegan_mri2ct_all_in", "All-in", ("in_phase", "out_phase"), pool=True),
    TranslationBundle("cyclegan_mri2ct_inphase", "In-phase", ("in_phase",)),
    TranslationBundle(
        "cyclegan_mri2ct_inphase_plus",
        "In-phase+",
        ("in_phase",),
        own_mr="extra_mr_dir",
        data=f"{CHAOS.source}, and further T1-weighted abdominal MR of your choice (the paper took some from The "
        "Cancer Imaging Archive, without saying which); without them, abdomen phantoms that the bundle makes",
        own_terms="Further MR of your own, given with --extra_mr_dir, keeps its own licence.",
    ),
    TranslationBundle("cyclegan_mri2ct_t2", "T2", ("t2",)),
    TranslationBundle("cyclegan_mri2ct_inout", "In'n out", ("in_phase", "out_phase")),
    TranslationBundle(
        "cyclegan_mri2ct_inout_hum",
        "In'n out HUM",
        ("in_phase", "out_phase"),
        contrast_ct=False,
        whole_body_ct=True,
        data=f"MR of {CHAOS.source}, and non-contrast CT of your own (the paper's is not public); without them, "
        "abdomen phantoms that the bundle makes",
        own_terms="CT of your own, given with --ct_dir, keeps its own licence. The CT of the paper (Humanitas) is not "
        "public.",
    ),
    TranslationBundle("cyclegan_triple", "Triple", ("in_phase", "out_phase", "t2")),
)
