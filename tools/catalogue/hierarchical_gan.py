"""CRF-GAN (Shiri et al.) and HA-GAN (Sun et al.): configs and metadata of generators of whole volumes."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue import parts
from tools.catalogue.datasets import GSP, LUNA16, PHANTOMS, Published, data_license
from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.options import GAN as OPTIONS  # noqa: F401 (for the tables of READMEs)
from tools.catalogue.parts import Config

CRF_GAN_PAPER = (
    "Shiri M, Bortolotto C, Bruno A, Consonni A, Grasso DM, Brizzi L, Loiacono D, Preda L. Comparative clinical "
    'evaluation of "memory-efficient" synthetic 3D generative adversarial networks (GAN) head-to-head to state of art: '
    "results on computed tomography of the chest."
)
HA_GAN_PAPER = (
    "Sun L, Chen J, Xu Y, Gong M, Yu K, Batmanghelich K. Hierarchical amortized GAN for 3D high resolution medical "
    "image synthesis. IEEE J Biomed Health Inform 26(8):3966-3975, 2022."
)
CRF_PAPER = "Li Y, Ping W. Cancer metastasis detection with neural conditional random field. arXiv 1806.07064, 2018."
SHAPE = ("image_size", "latent_dim", "base_channels", "num_classes")


@dataclass(frozen=True)
class VolumeData:
    """A dataset of whole volumes, as these bundles use it.

    Attributes:
        published: the dataset.
        what: what is generated, in the plural of the sentence "generates whole ... volumes".
        title: the same in a bundle's name.
        short: the same in the changelog.
        phantoms: what stands in for it.
        classes: what tells the classes of phantoms apart.
        write_phantoms: function of `tools.data`.
        phantom_shape: slices, rows and columns of a phantom.
        options: ids of the config that only this dataset has.
        datalist: function of `tools.data` and what it takes besides folder and part.
        preprocessing: expression for a folder of volumes, which may be preprocessed already.
        original_preprocessing: expression for volumes as published.
        window: grey values or HU of -1 and 1.
        field_of_view: millimetres, axial first, where the weights know none.
        intensities: the format of the values, as MONAI's metadata names it.
        made: what is made, with its values.
        text: file of `texts` that says what the data are, and how they are preprocessed.
    """

    published: Published
    what: str
    title: str
    short: str
    phantoms: str
    classes: str
    write_phantoms: str
    phantom_shape: tuple[int, int, int]
    options: Config
    datalist: str
    preprocessing: str
    original_preprocessing: str
    window: tuple[int, int]
    field_of_view: tuple[float, float, float]
    intensities: str
    made: str
    text: str

    def files(self, part: str) -> str:
        function, *more = self.datalist.split(", ")
        return f"$data.{function}({', '.join(['@data_dir', repr(part), *more])})"


CHEST_CT = VolumeData(
    published=LUNA16,
    what="chest CT",
    title="chest CT",
    short="chest CT",
    phantoms="thorax phantoms",
    classes="nodules",
    write_phantoms="write_luna16_phantoms",
    phantom_shape=(96, 112, 112),
    options={"validation_subsets": [9]},
    datalist="luna16_datalist, @validation_subsets",
    preprocessing="$data.image_transforms(@data_dir, @image_size, @window)",
    original_preprocessing="$transforms.ct_preprocessing(@image_size, @window)",
    window=(-1024, 600),
    field_of_view=(320.0, 350.0, 350.0),
    intensities="hounsfield",
    made="chest CT volume, intensities in [-1, 1] stand for [-1024, 600] HU",
    text="luna16.md",
)

BRAIN_T1 = VolumeData(
    published=GSP,
    what="T1-weighted brain MR",
    title="brain T1",
    short="T1 brains",
    phantoms="brain phantoms",
    classes="lesions",
    write_phantoms="write_gsp_phantoms",
    phantom_shape=(104, 124, 96),
    options={},
    datalist="gsp_datalist",
    preprocessing="$data.t1_transforms(@data_dir, @image_size, @window)",
    original_preprocessing="$transforms.t1_preprocessing(@image_size)",
    window=(0, 1000),
    field_of_view=(200.0, 200.0, 200.0),
    intensities="magnitude",
    made="T1-weighted brain volume without background, intensities in [-1, 1] stand for [0, 1000], where 1000 is a "
    "bright voxel of the head",
    text="gsp.md",
)


@dataclass(frozen=True)
class VolumeBundle:
    """Attributes:
    name: of the bundle.
    hierarchical: whether it is HA-GAN, which has a second resolution and reconstructs, or CRF-GAN.
    data: what it is trained on.
    """

    name: str
    hierarchical: bool
    data: VolumeData

    @property
    def generator(self) -> Config:
        return {
            "_target_": "tools.networks.hierarchical_gan."
            + ("HierarchicalGenerator" if self.hierarchical else "Generator"),
            **{id: f"@{id}" for id in SHAPE},
        }

    @property
    def encoder(self) -> Config:
        return {"_target_": "tools.networks.hierarchical_gan.HalfEncoder", "base_channels": "@base_channels"}

    @property
    def sub_encoder(self) -> Config:
        return {
            "_target_": "tools.networks.hierarchical_gan.SubEncoder",
            "image_size": "@image_size",
            "latent_dim": "@latent_dim",
            "base_channels": "@base_channels",
            "channels": "@sub_encoder_channels",
        }

    def trained(self, image_size: int | str, more: str = "") -> Config:
        """What the weights say, with this bundle's defaults."""
        encoders = {"sub_encoder_channels": 256} if more == "encoders" else {}
        defaults = {"image_size": image_size, "latent_dim": 1024, "base_channels": 32, **encoders, "num_classes": 0}
        defaults["window"] = list(self.data.window)
        ids = list(defaults)
        if more == "place":
            defaults["data"] = {"field_of_view_mm": list(self.data.field_of_view)}
        return parts.trained(self.name, defaults, ids)


def train(bundle: VolumeBundle) -> Config:
    data = bundle.data
    second = "sub_encoder" if bundle.hierarchical else "crf"
    rates: Config = {"discriminator": 0.0004, "generator": 0.0001}
    if bundle.hierarchical:
        rates |= {"encoder": 0.0001, "sub_encoder": 0.0001}
    else:  # the text's rate with the text's nodes, the released code's with its own
        rates |= {"crf": "$0.0001 if @crf_nodes == 'slices' else 0.0004", "encoder": 0.0001}
    labelled = "data.with_labels(@{}_files, @labels, @num_classes) if @num_classes > 0 else @{}_files"
    return {
        "imports": parts.imports(
            "os",
            "monai",
            "torch",
            "tools.data as data",
            "tools.engines as engines",
            "tools.layers as layers",
        ),
        **parts.where_training_writes(bundle.name),
        **parts.scales(
            phantom={"image_size": 64, "max_epochs": 4, "batch_size": 4, "val_interval": 4, "num_workers": 0},
            paper={"image_size": 256, "max_epochs": 80, "batch_size": 4, "val_interval": 5, "num_workers": 2},
        ),
        "iterations": None,
        "latent_dim": 1024,
        "base_channels": 32,
        "discriminator_channels": 512,
        **({"sub_encoder_channels": 256} if bundle.hierarchical else {}),
        "num_classes": 0,
        "window": list(data.window),
        **data.options,
        "phantoms": {
            "count": 24,
            "seed": 0,
            "shape": list(data.phantom_shape),
            data.classes: "$'half' if @num_classes > 0 else 'none'",
        },
        "data_dir": "$data.dataset_or_phantoms(@dataset_dir, @bundle_root + '/phantoms' + "
        f"('_{data.classes}' if @num_classes > 0 else ''), data.{data.write_phantoms}, **@phantoms)",
        "labels": "$os.path.join(@data_dir, 'labels.csv')",
        "train_files": data.files("training"),
        "val_files": data.files("validation"),
        "train_data": "$" + labelled.format("train", "train"),
        "val_data": f"$data.with_seeds({labelled.format('val', 'val')})",
        "cache_dir": "$None if data.preprocessed_info(@data_dir) else @bundle_root + '/cache'",
        "precision": "fp32",
        "plain": False,
        **({"lean": "$not @plain and @image_size >= 256"} if bundle.hierarchical else {}),
        "accumulation": 1,
        "ema_decay": 0.999,
        **({} if bundle.hierarchical else {"crf_nodes": "slices", "crf_iterations": 60000}),
        "learning_rates": rates,
        "betas": [0.0, 0.999],
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *parts.TRAINING_OPTIONS,
            *("latent_dim", "base_channels", "discriminator_channels", "num_classes", "ema_decay", "learning_rates"),
            "iterations",
            *(["sub_encoder_channels"] if bundle.hierarchical else ["crf_nodes", "crf_iterations"]),
        ),
        "network_def": bundle.generator,
        "discriminator_def": {
            "_target_": "tools.networks.hierarchical_gan."
            + ("HierarchicalDiscriminator" if bundle.hierarchical else "SubVolumeDiscriminator"),
            "image_size": "@image_size",
            "channels": "@discriminator_channels",
            "num_classes": "@num_classes",
        },
        "encoder_def": bundle.encoder,
        f"{second}_def": bundle.sub_encoder
        if bundle.hierarchical
        else {"_target_": "tools.layers.MeanFieldCRF", "num_nodes": "$@image_size // 4", "iterations": 10},
        "network": "$layers.set_form(@network_def, @plain).to(@device)",
        "discriminator": "$layers.set_form(@discriminator_def, @plain).to(@device)",
        "encoder": "$layers.set_form(@encoder_def, @plain).to(@device)",
        second: "$layers.set_form(@sub_encoder_def, @plain).to(@device)"
        if bundle.hierarchical
        else "$@crf_def.to(@device)",
        "ema": {
            "_target_": "tools.engines.ExponentialMovingAverage",
            "network": "@network",
            "decay": "@ema_decay",
        },
        "objective": {
            "_target_": f"tools.losses.{'ha_gan.HAGAN' if bundle.hierarchical else 'crf_gan.CRFGAN'}Objective",
            "generator": "@network",
            "discriminator": "@discriminator",
            "encoder": "@encoder",
            second: f"@{second}",
            "latent_dim": "@latent_dim",
            **(
                {}
                if bundle.hierarchical
                else {
                    "feedback": "blend",
                    "crf_weight": 0.5,
                    "crf_iterations": "@crf_iterations",
                    "crf_nodes": "@crf_nodes",
                }
            ),
            "discriminator_class_weight": 1.0,
            "generator_class_weight": 0.1,
            **({"lean": "@lean"} if bundle.hierarchical else {"plain": "@plain"}),
        },
        "models": {
            "model": "$@ema.module",
            **(
                {"encoders": "$torch.nn.ModuleDict({'encoder': @encoder, 'sub_encoder': @sub_encoder})"}
                if bundle.hierarchical
                else {}
            ),
        },
        "provenance": "$data.data_provenance(@data_dir, @train_data, @train#dataset, @num_workers)",
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            **{id: f"@{id}" for id in SHAPE[:3]},
            **({"sub_encoder_channels": "@sub_encoder_channels"} if bundle.hierarchical else {}),
            **{id: f"@{id}" for id in ("num_classes", "window", "seed", "batch_size", "precision")},
            "data": "@provenance",
        },
        "train": {
            "preprocessing": data.preprocessing,
            "dataset": {
                "_target_": "tools.data.usable_dataset",
                "data": "$engines.enough_for_a_batch(@train_data, @batch_size)",
                "transform": "@train#preprocessing",
                "cache_dir": "@cache_dir",
                "num_workers": "@num_workers",
            },
            "sampler": parts.sampler("torch.utils.data.DistributedSampler"),
            "dataloader": parts.training_loader(),
            "inferer": {"_target_": "tools.engines.OneByOneInferer"},
            "updates": [
                learn("discriminator", "@discriminator"),
                learn("generator", "@network"),
                *(
                    [learn("encoder", "@encoder"), learn("sub_encoder", "@sub_encoder", one_by_one="@lean")]
                    if bundle.hierarchical
                    else [learn("crf", "@crf"), learn("encoder", "@encoder")]
                ),
            ],
            "handlers": parts.training_handlers(),
            "trainer": parts.trainer(
                ema="@ema",
                max_epochs="$@max_epochs if @iterations is None else "
                "engines.epochs_for(@iterations, len(@train#dataset), @batch_size)",
            ),
        },
        "validate": {
            **parts.validation_data("@val_data", parts.compose("@train#preprocessing", latent_from_seed())),
            "key_metric": {"fid": "$@validate#distances['fid']"},
            "additional_metrics": {"mmd": "$@validate#distances['mmd']"},
            "handlers": parts.validation_handlers(),
            "evaluator": parts.validator("$@ema.module", prepare_batch=prepare_latents()),
        },
        **parts.start_training(),
    }


def latent_from_seed() -> Config:
    return {"_target_": "tools.transforms.latent.LatentFromSeedd", "latent_dim": "@latent_dim"}


def prepare_latents() -> Config:
    return {"_target_": "tools.engines.PrepareLatents"}


def learn(name: str, network: str, **more: str) -> Config:
    """An update of one network by the loss of its name."""
    optimizer = parts.adam(f"${network}.parameters()", f"@learning_rates#{name}", fused="$not @plain")
    return parts.update(name, {name: network}, optimizer, f"$@objective.{name}_loss", **more)


def inference(bundle: VolumeBundle) -> Config:
    return {
        "imports": parts.imports(
            "monai",
            "torch",
            "tools.data as data",
            "tools.engines as engines",
            "tools.layers as layers",
        ),
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": "$@bundle_root + '/eval'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "device": parts.DEVICE,
        "dataset_dir": None,
        "seed": 0,
        "num_volumes": 4,
        "slab_length": 0,
        "class_label": None,
        **bundle.trained(256, "place"),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        "field_of_view": "$@trained['data']['field_of_view_mm']",
        **parts.check(
            *("device", "seed", "num_volumes", "slab_length", "class_label", *SHAPE, "window", "field_of_view")
        ),
        "datalist": f"$data.seed_datalist(@num_volumes, @seed, @num_classes, @class_label, '{bundle.name}')",
        "network_def": bundle.generator,
        "network": "$layers.set_form(@network_def).to(@device)",
        "preprocessing": parts.compose(latent_from_seed()),
        **parts.one_by_one("@datalist"),
        "inferer": {"_target_": "tools.engines.OneByOneInferer", "slab_length": "@slab_length"},
        "postprocessing": parts.compose(
            {
                "_target_": "tools.transforms.volume.PlaceVolumed",
                "keys": "pred",
                "field_of_view": "@field_of_view",
            },
            parts.unscale("$@window[0]", "$@window[1]"),
            parts.whole_numbers(),
            *parts.save_volume(""),
        ),
        "handlers": [
            parts.load_model("@ckpt_path", "@network"),
            parts.montage("montage.png", "@window", provenance="@origin"),
            parts.progress("Generation"),
        ],
        "evaluator": parts.evaluator(prepare_batch=prepare_latents()),
        **parts.start_inference(
            "$print('Generated', *[f\"{@output_dir}/{item['name']}.nii.gz\" for item in @datalist], "
            "@output_dir + '/montage.png', sep='\\n  ')"
        ),
    }


def reconstruct(bundle: VolumeBundle) -> Config:
    """HA-GAN's encoders, then its generator: real volumes as the generator would make them."""
    return {
        "imports": parts.imports(
            "monai",
            "torch",
            "tools.data as data",
            "tools.engines as engines",
            "tools.layers as layers",
            "tools.transforms as transforms",
        ),
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": "$@bundle_root + '/reconstruction'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "encoders_path": "$engines.weights_beside(@ckpt_path, 'encoders')",
        "device": parts.DEVICE,
        "dataset_dir": None,
        "class_label": 0,
        **bundle.trained(256, "encoders"),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check("device", "class_label", *SHAPE, "sub_encoder_channels", "window"),
        "generator_def": bundle.generator,
        "encoder_def": bundle.encoder,
        "sub_encoder_def": bundle.sub_encoder,
        "network_def": {
            "_target_": "tools.networks.hierarchical_gan.Reconstructor",
            "generator": "@generator_def",
            "encoder": "@encoder_def",
            "sub_encoder": "@sub_encoder_def",
        },
        "network": "$layers.set_form(@network_def).to(@device)",
        "datalist": "$[item | ({'label': @class_label} if @num_classes > 0 else {}) "
        "for item in data.volume_datalist(@dataset_dir)]",
        "preprocessing": parts.compose(
            bundle.data.original_preprocessing,
            {
                "_target_": "ScaleIntensityRanged",
                "keys": "image",
                "a_min": "$@window[0]",
                "a_max": "$@window[1]",
                "b_min": -1.0,
                "b_max": 1.0,
                "clip": True,
            },
        ),
        **parts.one_by_one("@datalist"),
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": parts.compose(
            parts.unscale("$@window[0]", "$@window[1]"),
            parts.whole_numbers(),
            *parts.save_volume("reconstruction", by_id=True),
        ),
        "handlers": [
            parts.load_model("@ckpt_path", "$@network.generator"),
            parts.load_model("@encoders_path", "$@network.encoders"),
            parts.montage("reconstruction.png", "@window", provenance="@origin"),
            parts.montage("input.png", [-1, 1], pred_key="image"),
            parts.progress("Reconstruction"),
        ],
        "evaluator": parts.evaluator(
            prepare_batch="$monai.engines.PrepareBatchExtraInput({'label': 'label'}) if @num_classes > 0 "
            "else monai.engines.default_prepare_batch"
        ),
        **parts.start_inference("$print('Reconstructed', len(@dataset), 'volumes in', @output_dir)"),
    }


def evaluate(bundle: VolumeBundle) -> Config:
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **bundle.trained("$@scales[@scale]['image_size']"),
        "network": "$@network_def.to(@device)",
        "reference": "validation",
        "real_files": "$data.reference_files(@reference, @train_files, @val_files)",
        "num_synthetic": "$len(@real_files)",
        **parts.spaces("untrained"),
        "real": {
            "_target_": "tools.data.usable_dataset",
            "data": "@real_files",
            "transform": "@train#preprocessing",
            "cache_dir": "@cache_dir",
            "num_workers": "@num_workers",
        },
        "synthetic": f"$data.seed_datalist(@num_synthetic, @seed, @num_classes, name='{bundle.name}')",
        "validate#preprocessing": latent_from_seed(),
        "validate#dataset": {"_target_": "Dataset", "data": "@synthetic", "transform": "@validate#preprocessing"},
        "validate#evaluator#network": "@network",
        "report": {
            "_target_": "tools.metrics.evaluation.EvaluationReport",
            "output_dir": "@output_dir",
            "real": "@real",
            "spaces": "@spaces",
            "name": bundle.name,
            "resamples": "@resamples",
            "seed": "@seed",
            "window": "@window",
            "unit": "HU" if bundle.data.intensities == "hounsfield" else "grey values",
            "settings": {
                "bundle": bundle.name,
                "weights": "@ckpt_path",
                "data": "@data_dir",
                "reference": "@reference",
                "image_size": "@image_size",
            },
        },
        **parts.run_report(),
    }


def metadata(bundle: VolumeBundle) -> Config:
    data = bundle.data
    if bundle.hierarchical:
        method, authors, papers = (
            "HA-GAN",
            "L. Sun, J. Chen, Y. Xu, M. Gong, K. Yu and K. Batmanghelich",
            [HA_GAN_PAPER, CRF_GAN_PAPER],
        )
        does = "training, inference, reconstruction and evaluation"
        description = (
            f"HA-GAN: a hierarchical amortized 3D generative adversarial network that generates whole {data.what} "
            "volumes. It decodes a global embedding slab by slab in training; a second branch generates and judges the "
            "whole volume at a quarter of the resolution, and an encoder maps real volumes to latent vectors, so that "
            "they can be reconstructed."
        )
    else:
        method, authors, papers = (
            "CRF-GAN",
            "M. Shiri, C. Bortolotto, A. Bruno, A. Consonni, D. M. Grasso, L. Brizzi, D. Loiacono and L. Preda",
            [CRF_GAN_PAPER, HA_GAN_PAPER, CRF_PAPER],
        )
        does = "training, inference and evaluation"
        description = (
            f"CRF-GAN: a memory-efficient 3D generative adversarial network that generates whole {data.what} volumes. "
            "It decodes a global embedding slab by slab in training, and a conditional random field over the embedding "
            "keeps the slabs consistent."
        )
    says = {
        "name": f"{method} {data.title}",
        "task": f"Generation of synthetic {data.what} volumes",
        "description": description,
        "authors": f"Contributors of this project; the method is by {authors}",
        "copyright": "Contributors of this project",
        "data_source": f"{data.published.source}; without it, {data.phantoms} that the bundle makes",
        "data_type": data.published.files,
        "image_classes": "latent vector of 1024 independent standard normal numbers",
        "label_classes": "optional class of a volume, for conditional generation: "
        f"0 without {data.classes}, 1 with {data.classes}",
        "pred_classes": data.made,
        "eval_metrics": {},
        "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
        "references": [*papers, data.published.reference],
    }
    return metadata_of(
        "generate",
        {"0.1.0": f"first version: {does} of {method} on {data.short}"},
        says,
        {
            "type": "feature",
            "format": "latent",
            "num_channels": 1024,
            "spatial_shape": [],
            "dtype": "float32",
            "value_range": [],
            "is_patch_data": False,
            "channel_def": {"0": "latent vector"},
        },
        {
            "type": "image",
            "format": data.intensities,
            "num_channels": 1,
            "spatial_shape": [64, 64, 64],
            "dtype": "float32",
            "value_range": [-1, 1],
            "is_patch_data": False,
            "channel_def": {"0": "image"},
        },
    )


def facts(bundle: VolumeBundle) -> Config:
    """What the README says of this bundle besides its entry's fields: nothing."""
    return {}


def configs(bundle: VolumeBundle) -> dict[str, Config]:
    return {
        "train": train(bundle),
        "inference": inference(bundle),
        **({"reconstruct": reconstruct(bundle)} if bundle.hierarchical else {}),
        "evaluate": evaluate(bundle),
    }


def terms(bundle: VolumeBundle) -> str:
    return data_license(bundle.data.published.terms, PHANTOMS)


BUNDLES = (
    VolumeBundle("crf_gan_luna16", hierarchical=False, data=CHEST_CT),
    VolumeBundle("ha_gan_luna16", hierarchical=True, data=CHEST_CT),
    VolumeBundle("crf_gan_gsp", hierarchical=False, data=BRAIN_T1),
    VolumeBundle("ha_gan_gsp", hierarchical=True, data=BRAIN_T1),
)
