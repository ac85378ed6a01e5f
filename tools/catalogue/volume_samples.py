"""What samples are, in the places of configs where it matters: labelled volumes, or cubes of images alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from tools.catalogue import parts
from tools.catalogue.diffusion.entry import (
    VOLUME_SIZE,
    JointBundle,
    labelled_volumes,
    prepare_noise,
    sample_channels,
)
from tools.catalogue.diffusion.training import files
from tools.catalogue.hierarchical_gan.volumes import VolumeData
from tools.catalogue.labelled_parts import ENLARGE, enlarged, labelled_engines
from tools.catalogue.parts import Config
from tools.catalogue.volume_parts import reconstruction_engines, volume_engines, volumes_to_reconstruct


class Samples(Protocol):
    """Attributes:
    ids: options on what samples are, with their defaults.
    kept: those that weights say.
    checked: those that are looked at before a run.
    making: options of what is done to samples before they are written, with their defaults.
    phantoms: number, seed and voxels of the phantoms.
    data_dir: expression for the folder of the data.
    channels: reference to the description of their channels; None for one image alone.
    described: that description, built.
    reading: what else is built to read them.
    number: number of channels, or the expression for it.
    num_images: number of channels that are images, or the expression for it.
    preprocessing: chain from files to samples.
    fields_of_view: expression for those of the training volumes.
    names: names of the channels for pictures, by the argument of a montage.
    compared: expression from the evaluator's output to generated and real images.
    intensities: format of the values, as MONAI's metadata names it.
    """

    ids: Config
    kept: tuple[str, ...]
    checked: tuple[str, ...]
    making: Config
    phantoms: Config
    data_dir: str
    channels: str | None
    described: Config
    reading: Config
    number: str | int
    num_images: str | int
    preprocessing: Config | str
    fields_of_view: str
    names: Config
    compared: str
    intensities: str

    def files(self, section: str) -> str:
        """Expression for the datalist of "training" or "validation"."""

    def dataset(self, data: str, transform: str | None = None) -> Config:
        """Dataset of a datalist; ``transform`` refers to what follows."""

    def report(self, name: str, settings: Iterable[str]) -> Config:
        """The report on an evaluation, and what is done to samples before, as of `parts.report`."""

    def engines(self, name: str) -> Config:
        """From a network's samples to files: the end of `inference.json`."""

    def reconstruction(self, name: str, load: Config) -> Config:
        """From given samples, through an autoencoder, to files: `reconstruct.json` after its network.

        ``load`` has the loaders of its weights.
        """


@dataclass(frozen=True)
class Labelled:
    """Images with labels as channels of one sample.

    Attributes:
        entry: the same data as channels for diffusion in voxels.
    """

    entry: JointBundle

    channels = "@sample_channels"
    number = "$@sample_channels.number"
    num_images = "$@sample_channels.num_images"
    kept = ("volume_size", "images", "labels")
    checked = ("volume_size",)
    making: ClassVar[Config] = ENLARGE
    fields_of_view = "@volumes.fields_of_view()"
    compared = "$lambda output: tuple([item[key][:1] for item in output] for key in ('pred', 'label'))"
    intensities = "magnitude"

    @property
    def ids(self) -> Config:
        return {"volume_size": VOLUME_SIZE, "images": dict(self.entry.images), "labels": self.entry.labels}

    @property
    def phantoms(self) -> Config:
        return {"count": 24, "seed": 0, "shape": list(self.entry.phantom_shape)}

    @property
    def data_dir(self) -> str:
        return (
            "$dataset_or_phantoms(@dataset_dir, @bundle_root + '/phantoms', write_msd_phantoms, "
            f"task='{self.entry.phantoms}', **@phantoms)"
        )

    @property
    def described(self) -> Config:
        return {"sample_channels": sample_channels()}

    @property
    def reading(self) -> Config:
        return {}

    @property
    def preprocessing(self) -> Config:
        return {
            "_target_": "tools.transforms.sample_volumes.sample_volumes",
            "channels": "@sample_channels",
            "image_size": "@fitting_size",
            "modality": self.entry.modality,
        }

    @property
    def names(self) -> Config:
        return {"names": "$@sample_channels.names"}

    def report(self, name: str, settings: Iterable[str]) -> Config:
        return parts.sample_reports(name, settings)

    def files(self, section: str) -> str:
        return files(self.entry, section)

    def dataset(self, data: str, transform: str | None = None) -> Config:
        volumes = labelled_volumes(data)
        return volumes if transform is None else {"_target_": "Dataset", "data": volumes, "transform": transform}

    def engines(self, name: str) -> Config:
        return labelled_engines(name, self.entry.modality, prepare_noise(), before=[enlarged()])

    def reconstruction(self, name: str, load: Config) -> Config:
        return {
            "section": "validation",
            "datalist": f"$case_datalist({self.entry.record}, @dataset_dir, @section, [*@sample_channels.images], "
            "labelled=True)",
            "preprocessing": self.preprocessing | {"image_size": "@volume_size"},
            "dataset": {
                "_target_": "tools.data.volume_samples.VolumeSamples",
                "data": "@datalist",
                "transform": "@preprocessing",
                "channels": "@sample_channels",
                "store_dir": None,
            },
            "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
            "inferer": {"_target_": "SimpleInferer"},
            **labelled_engines(
                name,
                self.entry.modality,
                {"_target_": "tools.engines.samples.PrepareSamples", "channels": "@sample_channels"},
                load=load,
                picture="reconstruction.png",
                desc="Reconstruction",
                placing={
                    "_target_": "tools.transforms.volume.PlaceVolumed",
                    "keys": ["image", "pred"],
                    "field_of_view": "field_of_view_mm",
                    "name_key": "id",
                },
                name_key="id",
                beside={"image": [-1, 1]},
            ),
        }


@dataclass(frozen=True)
class Cubes:
    """Volumes of one image, as cubes.

    Attributes:
        data: dataset of whole volumes.
    """

    data: VolumeData

    channels = None
    number = num_images = 1
    kept = ("image_size", "volume_size", "window")
    checked = ("volume_size", "window")
    making: ClassVar[Config] = {}
    preprocessing = "$@cubes.transform"
    fields_of_view = "@cubes.fields_of_view(@volumes)"
    compared = "$monai.handlers.from_engine(['pred', 'label'])"

    @property
    def intensities(self) -> str:
        return self.data.intensities

    @property
    def ids(self) -> Config:
        return {"volume_size": "$[@image_size] * 3", "window": list(self.data.window), **self.data.options}

    @property
    def phantoms(self) -> Config:
        return {"count": 24, "seed": 0, "shape": list(self.data.phantom_shape)}

    @property
    def data_dir(self) -> str:
        folder = "@bundle_root + '/phantoms'"
        return f"$dataset_or_phantoms(@dataset_dir, {folder}, {self.data.write_phantoms}, **@phantoms)"

    @property
    def described(self) -> Config:
        return {}

    @property
    def reading(self) -> Config:
        return {
            "cubes": {
                "_target_": "tools.data.cubes.Cubes",
                "kind": self.data.dataset.modality,
                "dataset_dir": "@data_dir",
                "image_size": "$cubic(@fitting_size)",
                "window": "@window",
                "cache_dir": "@cache_dir",
                "num_workers": "@num_workers",
            }
        }

    @property
    def names(self) -> Config:
        return {}

    def report(self, name: str, settings: Iterable[str]) -> Config:
        more = {"window": "@window", "unit": parts.UNITS[self.data.intensities]}
        clamped = {"_target_": "Lambdad", "keys": "pred", "func": "$lambda sample: sample.clamp(-1, 1)"}
        return {"validate#postprocessing": clamped, "report": parts.report(name, settings, **more)}

    def files(self, section: str) -> str:
        return self.data.files(section)

    def dataset(self, data: str, transform: str | None = None) -> Config:
        follows = {} if transform is None else {"transform": transform}
        return {"_target_": "tools.data.cubes.cube_dataset", "data": data, "cubes": "@cubes", **follows}

    def engines(self, name: str) -> Config:
        return volume_engines(self.data.intensities, prepare_noise())

    def reconstruction(self, name: str, load: Config) -> Config:
        return {
            **volumes_to_reconstruct("$volume_datalist(@dataset_dir)", self.data.original_preprocessing),
            **reconstruction_engines(self.data.intensities, load, "$monai.engines.default_prepare_batch"),
        }
