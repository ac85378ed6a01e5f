"""Differences of the optimised implementation from the reference: outputs, losses and gradients."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.benchmark.case import Case
from tools.benchmark.configs import read_config, translates
from tools.benchmark.inference import BATCH, denoiser, generator, painter, preprocessing, translator, write_scan
from tools.benchmark.training import build_trainer
from tools.engines.draws import Draws
from tools.engines.generation import OneByOneInferer
from tools.engines.trainer import PRECISIONS, AlternatingTrainer
from tools.engines.translation import SlabInferer
from tools.engines.update import all_terms

EDGE = 25.0
"""HU from voxel to voxel: where it changes by more, there is an edge."""


def training_difference(case: Case, device: torch.device) -> float:
    """The largest difference of a loss or a gradient in one step, relative to the reference.

    Both ways start from the same weights, batch and random numbers; no step is taken, so that every update sees the
    same networks. Gradients are compared update by update, by their Euclidean norm. The optimised implementation trains
    the CRF on the generator's fakes, where the reference makes new ones from the batch's "crf_latent": here that is the
    generator's latent. fp32 is compared in double precision, where rounding neither hides a mistake nor tips a ReLU.
    """
    exact = torch.float64 if case.precision == "fp32" else torch.float32
    reference, optimised = (
        build_trainer(
            case.bundle,
            case.image_size,
            case.batch_size,
            precision,
            device,
            {**case.overrides, "implementation": implementation},
            case.batch,
        )
        for implementation, precision in (("reference", "fp32"), ("optimised", case.precision))
    )
    for trainer in (reference, optimised):
        for network in trainer.networks.values():
            # spectral normalisation stands still in evaluation, however often it is asked
            network.eval().to(exact)
    for name, network in optimised.networks.items():
        network.load_state_dict(reference.networks[name].state_dict())
    (batch,) = reference.data_loader
    batch = reference.draw(
        {key: value.to(device) for key, value in batch.items()}, Draws(reference.seed, 0, device, images=0)
    )
    if "crf_latent" in batch:
        batch["crf_latent"] = batch["generator_latent"]
    batch = {key: value.to(exact) if _is_real(value) else value for key, value in batch.items()}
    worst = 0.0
    both = (losses_and_gradients(trainer, batch) for trainer in (reference, optimised))
    for expected, found in zip(*both, strict=True):
        worst = max(worst, relative_difference(found, expected))
    return worst


def _is_real(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def losses_and_gradients(trainer: AlternatingTrainer, batch: dict) -> list[Tensor]:
    """Loss and, flattened, gradient of every update; ``batch`` as drawn."""
    results = []
    precision = PRECISIONS[trainer.precision]
    for update in trainer.updates:
        for name, network in trainer.networks.items():
            network.requires_grad_(name in update.networks)
        with torch.autocast(trainer.state.device.type, precision, enabled=precision is not None):
            loss = sum(all_terms(update.loss(batch)).values())
        gradients = torch.autograd.grad(loss, update.parameters, allow_unused=True)
        results += [loss.detach(), torch.cat([g.flatten() for g in gradients if g is not None])]
    return results


def generation_difference(case: Case, device: torch.device) -> float:
    """The largest difference of a voxel, in [-1, 1], between volumes of both implementations."""
    with torch.inference_mode():
        volumes = []
        for reference in (True, False):
            network, latent = generator(case, device, reference)
            enabled = case.precision != "fp32" and not reference
            with torch.autocast(device.type, PRECISIONS[case.precision], enabled=enabled):
                volumes.append(OneByOneInferer()(latent, network).float())
        return float((volumes[0] - volumes[1]).abs().max())


def translation_difference(case: Case, device: torch.device) -> float:
    """The largest difference of a pixel between slices translated one by one and as a volume, both in [-1, 1]."""
    network, volume = translator(case, device)
    one_by_one = SlabInferer(batch_size=1)(volume, network)
    with torch.autocast(device.type, PRECISIONS[case.precision], enabled=case.precision != "fp32"):
        return float((SlabInferer(batch_size=BATCH)(volume, network) - one_by_one).abs().max())


def device_training_difference(case: Case, device: torch.device) -> float:
    """The largest difference of a loss or gradient in one step on a device, relative to the CPU's in double precision.

    Same weights, batch and random numbers; gradients are compared update by update, by their Euclidean norm. The
    case's precision is that of the device; it may be "fp64" too, in which only the order of sums differs.
    """
    on_device = torch.float64 if case.precision == "fp64" else torch.float32
    trainers = []
    weights: dict[str, dict] = {}
    for where, exact, precision in ((torch.device("cpu"), torch.float64, "fp32"), (device, on_device, case.precision)):
        precision = "fp32" if precision == "fp64" else precision
        trainer = build_trainer(
            case.bundle, case.image_size, case.batch_size, precision, where, case.overrides, case.batch
        )
        for name, network in trainer.networks.items():
            network.eval().to(exact)
            network.load_state_dict(weights.setdefault(name, network.state_dict()))
        trainers.append((trainer, exact))
    (batch,) = trainers[0][0].data_loader
    expected, found = (losses_and_gradients(trainer, _drawn(trainer, batch, exact)) for trainer, exact in trainers)
    return max(relative_difference(f.cpu(), e) for f, e in zip(found, expected, strict=True))


def _drawn(trainer: AlternatingTrainer, batch: dict, dtype: torch.dtype) -> dict:
    """A batch on the trainer's device, with the random numbers of the first iteration."""
    device = trainer.state.device
    drawn = trainer.draw(
        {key: value.to(device) for key, value in batch.items()}, Draws(trainer.seed, 0, device, images=0)
    )
    return {key: value.to(dtype) if _is_real(value) else value for key, value in drawn.items()}


@torch.inference_mode()
def device_output_difference(case: Case, device: torch.device) -> float:
    """The largest difference of a voxel in [-1, 1] between what a device and the CPU generate or translate.

    Of diffusion it is what the denoiser says of noise, once.
    """

    def made(where: torch.device) -> Tensor:
        if translates(case.bundle):
            network, volume = translator(case, where)
            return SlabInferer(batch_size=BATCH)(volume, network)
        if "margins" in read_config(case.bundle, {}):
            network, crop = painter(case, where)
            return network(crop)
        if "latent_dim" not in read_config(case.bundle, {}):
            network, noise, time = denoiser(case, where)
            return network(noise, time)
        network, latent = generator(case, where, False)
        return OneByOneInferer()(latent, network)

    expected = made(torch.device("cpu"))
    with torch.autocast(device.type, PRECISIONS[case.precision], enabled=case.precision != "fp32"):
        found = made(device)
    return float((found.float().cpu() - expected).abs().max())


def preparation_difference(case: Case, device: torch.device) -> float:
    """The mean difference in HU of a scan resized by both implementations, away from edges."""
    with tempfile.TemporaryDirectory() as folder:
        item = {"image": str(write_scan(Path(folder)))}
        reference, optimised = (preprocessing(case.image_size, way)(item)["image"][0].numpy() for way in (True, False))
    slopes = np.max([np.abs(np.gradient(reference, axis=axis)) for axis in range(3)], axis=0)
    return float(np.abs(reference - optimised)[slopes < EDGE].mean())


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Euclidean, relative to the expected."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())
