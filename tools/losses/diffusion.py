"""The objective of diffusion models and rectified flow, for images alone or together with their labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from monai.networks.schedulers import RFlowScheduler
from monai.networks.schedulers.ddpm import DDPMPredictionType
from monai.networks.schedulers.rectified_flow import timestep_transform
from monai.networks.schedulers.scheduler import Scheduler
from torch import Tensor, nn

from tools.transforms.channels import Channels

if TYPE_CHECKING:
    from tools.engines.draws import Draws

PREDICTIONS = ("epsilon", "v", "flow")


def prediction_of(scheduler: Scheduler) -> str:
    """What a network that MONAI's scheduler samples has to predict, one of `PREDICTIONS`.

    Raises:
        ValueError: the scheduler wants the denoised sample itself, which no family here is trained for.
    """
    if isinstance(scheduler, RFlowScheduler):
        return "flow"
    if scheduler.prediction_type == DDPMPredictionType.EPSILON:
        return "epsilon"
    if scheduler.prediction_type == DDPMPredictionType.V_PREDICTION:
        return "v"
    raise ValueError(
        f"the scheduler's prediction_type is {str(scheduler.prediction_type)!r}, expected 'epsilon' or 'v_prediction'"
    )


class DiffusionObjective:
    """One update: a network learns to say what in a noisy sample is noise.

    With x the sample, n ~ N(0, I) and a time t in [0, T), the squared error of the network's answer to x_t:

    | prediction | x_t | the network predicts | source |
    |---|---|---|---|
    | epsilon | sqrt(abar_t) x + sqrt(1 - abar_t) n | n | Ho et al. 2020, Algorithm 1 |
    | v | the same | sqrt(abar_t) n - sqrt(1 - abar_t) x | Salimans and Ho 2022, Appendix D |
    | flow | (1 - t/T) x + (t/T) n | x - n | Liu et al. 2023, Eq. 1, with MONAI's sign |

    where abar_t is the product of 1 - beta up to t, of the scheduler's own schedule. Ho et al. count t from 1 to T, and
    MONAI from 0. It is the mean over the channels of a sample that is minimised, in two terms, images and labels.

    A network that is preconditioned (`tools.networks.preconditioning`) is judged in units of what its linear guess
    leaves, so that what there is left to learn weighs alike at all times (Karras et al. 2022, section 5, where the
    weight of a noise level is 1 / c_out^2).

    Classes are dropped at random for classifier-free guidance (Ho and Salimans 2022, Algorithm 1), in favour of a class
    that means none, the one after the last: the network has ``num_classes + 1`` ``num_class_embeds``.

    Args:
        network: the denoiser, for instance MONAI's ``DiffusionModelUNet``: called with x_t [B, channels, (D,) H, W],
            times [B] and, where there are classes, ``class_labels`` [B].
        scheduler: schedule of the noise, and what is predicted: MONAI's ``DDPMScheduler``, ``DDIMScheduler``,
            ``PNDMScheduler`` or ``RFlowScheduler``.
        channels: channels of the sample; None takes "image" of a batch as it is.
        num_classes: number of classes of the samples; 0 for none.
        drop_class: probability with which a sample's class is withheld; 0 for a network that is never guided.
        label_weight: weight of the squared error in label channels, relative to that in images.
        prepare: function of a batch and the draws that is called first, for instance a
            `tools.engines.views.RandomViews`; None takes batches as they are.
        conditions: key in the batch by name of the network's argument, of what else the network is given: `{
            "spacing_tensor": "spacing"}` for MAISI's U-Net.

    Raises:
        ValueError: a probability outside [0, 1], a negative weight or number of classes, a network whose number of
            classes is another or that is preconditioned for another prediction, or a scheduler with an option that
            MONAI ignores.

    Example::

        network = DiffusionModelUNet(3, channels.number, channels.number, channels=(32, 64, 128, 256))
        objective = DiffusionObjective(network, RFlowScheduler(), channels)
        batch = objective.draw({"image": image, "label": label}, draws)
        sum(objective.denoiser_loss(batch).values()).backward()
    """

    def __init__(
        self,
        network: nn.Module,
        scheduler: Scheduler,
        channels: Channels | None = None,
        num_classes: int = 0,
        drop_class: float = 0.1,
        label_weight: float = 1.0,
        prepare: Callable[[dict, Draws], dict] | None = None,
        conditions: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if num_classes < 0:
            raise ValueError(f"num_classes is {num_classes}, expected 0 for none, or more")
        if not 0 <= drop_class <= 1:
            raise ValueError(f"drop_class is {drop_class}, expected a probability in [0, 1]")
        if not label_weight >= 0:
            raise ValueError(f"label_weight is {label_weight}, expected 0 or more")
        embeds = getattr(network, "num_class_embeds", None) or 0
        if embeds != (num_classes + 1 if num_classes else 0):
            raise ValueError(
                f"the network's num_class_embeds is {embeds or None}, expected "
                f"{num_classes + 1 if num_classes else None} for num_classes {num_classes}: one more than classes, for "
                "a class that is withheld"
            )
        if getattr(scheduler, "transform_scale", 1) != 1:
            raise ValueError(
                f"the scheduler's transform_scale is {scheduler.transform_scale}, which MONAI keeps but never uses; "
                "leave it at 1"
            )
        self.prediction = prediction_of(scheduler)
        preconditioning = getattr(network, "preconditioning", None)
        if preconditioning is not None and self.prediction != "flow":
            raise ValueError(
                f"the network is preconditioned for a flow, and the scheduler's is a prediction of {self.prediction}; "
                "give the network preconditioned false"
            )
        if preconditioning is not None and preconditioning.times != scheduler.num_train_timesteps:
            raise ValueError(
                f"the scheduler's num_train_timesteps is {scheduler.num_train_timesteps}, and the network is "
                f"preconditioned for times up to {preconditioning.times:g}"
            )
        self.network = network
        self.unit = network.unit if preconditioning is not None else None
        self.scheduler = scheduler
        self.channels = channels
        self.num_classes = num_classes
        self.drop_class = drop_class
        self.label_weight = label_weight
        self.prepare = prepare
        self.conditions = dict(conditions)

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw noise, times and which classes are withheld.

        Args:
            batch: "image" [B, images, (D,) H, W] in [-1, 1]; where `channels` has labels "label", class indices
                [B, 1, (D,) H, W], and perhaps "known" [B, classes], see ``Channels``; with classes "class" [B].
            draws: the iteration's source of random numbers.

        Returns:
            The "sample" x [B, channels, (D,) H, W], the "noise" n alike, "time" [B] in [0, T), "class" [B] or None, and
            "counted", bool as the label channels: where it is known what they should be, or None. Beside these what
            the network is given as ``conditions``, by their keys.

        Raises:
            ValueError: classes are missing, or outside [0, num_classes).
        """
        if self.prepare is not None:
            batch = self.prepare(batch, draws)
        image = batch["image"].float() if self.channels is None or self.channels.images else None
        sample, counted = image, None
        if self.channels is not None:
            label, known = batch.get("label"), batch.get("known")
            sample = self.channels.join(image, label, known)
            if self.channels.labels:
                counted = self.channels.counted(label, known)
        rows = len(sample)
        return {
            "sample": sample,
            "noise": draws.normal(*sample.shape),
            "time": self.times(draws, sample),
            "class": self.withhold(batch.get("class"), draws.uniform(rows)) if self.num_classes else None,
            "counted": counted,
            **{key: batch[key] for key in self.conditions.values()},
        }

    def times(self, draws: Draws, sample: Tensor) -> Tensor:
        """Times t [B] in [0, T): uniform, in whole steps; for rectified flow as its scheduler is set.

        That may be without whole steps, logit-normal (Esser et al. 2024, section 3.1), or moved to more noise for
        larger samples by MONAI's transform. MONAI's own ``sample_timesteps`` draws from the global generator.
        """
        rows, steps, scheduler = len(sample), self.scheduler.num_train_timesteps, self.scheduler
        if self.prediction == "flow" and scheduler.sample_method == "logit-normal":
            loc, scale = (float(value) for value in (scheduler.distribution.loc, scheduler.distribution.scale))
            share = torch.sigmoid(loc + scale * draws.normal(rows))
        else:
            share = draws.uniform(rows)
        time = share * steps
        if self.prediction != "flow" or scheduler.use_discrete_timesteps:
            time = time.long().clamp(max=steps - 1)
        if self.prediction == "flow" and scheduler.use_timestep_transform:
            time = timestep_transform(
                time,
                input_img_size_numel=sample[0, 0].numel(),
                base_img_size_numel=scheduler.base_img_size_numel,
                num_train_timesteps=steps,
                spatial_dim=sample.ndim - 2,
            )
        return time

    def withhold(self, classes: Tensor | None, uniforms: Tensor) -> Tensor:
        """Classes [B], those where a uniform number in [0, 1) is below `drop_class` replaced by the one for none."""
        if classes is None:
            raise ValueError(f"a batch has no 'class', expected a class index in [0, {self.num_classes}) for each row")
        classes = classes.long()
        if not ((classes >= 0) & (classes < self.num_classes)).all():
            raise ValueError(f"classes are {classes.tolist()}, expected indices in [0, {self.num_classes})")
        return torch.where(uniforms < self.drop_class, self.num_classes, classes)

    def noisy(self, batch: dict) -> Tensor:
        """x_t: the sample with the noise of its time."""
        return self.scheduler.add_noise(batch["sample"], batch["noise"], batch["time"])

    def target(self, batch: dict) -> Tensor:
        """What the network should say of x_t: n, v or x - n."""
        if self.prediction == "epsilon":
            return batch["noise"]
        if self.prediction == "v":
            return self.scheduler.get_velocity(batch["sample"], batch["noise"], batch["time"])
        return batch["sample"] - batch["noise"]

    def predict(self, batch: dict) -> Tensor:
        """What the network says of x_t."""
        condition = self.told(batch) | ({} if batch["class"] is None else {"class_labels": batch["class"]})
        return self.network(self.noisy(batch), timesteps=batch["time"], **condition)

    def guess(self, batch: dict) -> Tensor | None:
        """What the linear guess of a preconditioned network says of x_t by itself, or None."""
        if self.unit is None:
            return None
        return self.network.guess(self.noisy(batch), batch["time"], **self.told(batch))

    def told(self, batch: dict) -> dict[str, Tensor]:
        """What the network is given beside sample and time, by the names of its arguments."""
        return {name: batch[key] for name, key in self.conditions.items()}

    def denoised(self, batch: dict, prediction: Tensor) -> Tensor:
        """The sample that a prediction for x_t says: the table above, solved for x."""
        noisy = self.noisy(batch)
        rows = [-1] + [1] * (noisy.ndim - 1)
        if self.prediction == "flow":
            return noisy + (batch["time"] / self.scheduler.num_train_timesteps).view(rows) * prediction
        kept = self.scheduler.alphas_cumprod.to(noisy)[batch["time"]].view(rows)
        if self.prediction == "v":
            return kept.sqrt() * noisy - (1 - kept).sqrt() * prediction
        return (noisy - (1 - kept).sqrt() * prediction) / kept.sqrt()

    def error(self, batch: dict) -> Tensor:
        """Prediction less target, in units of what a preconditioned network's guess leaves."""
        error = self.predict(batch).float() - self.target(batch)
        if self.unit is None:
            return error
        return error / self.unit(self.noisy(batch), batch["time"], **self.told(batch))

    def errors(self, batch: dict) -> Tensor:
        """Mean squared error of the prediction [B] for each row, over its channels and voxels, as far as those count:
        what tells whether the network has seen a sample before.
        """
        error = self.error(batch).square()
        counted = torch.ones_like(error)
        if batch["counted"] is not None:
            counted[:, self.channels.num_images :] = batch["counted"].to(error.dtype)
        return (error * counted).flatten(1).sum(1) / counted.flatten(1).sum(1)

    def denoiser_loss(self, batch: dict) -> dict[str, Tensor]:
        """|| target - prediction ||^2, the mean over channels and voxels, in the terms "image" and "label".

        Where a label is not known its channels do not count. A row weighs as much as any other.
        """
        error = self.error(batch) ** 2
        if batch["counted"] is None:
            return {"image": error.mean()}
        images, number = self.channels.num_images, self.channels.number
        counted = batch["counted"].to(error.dtype).flatten(1)
        label = (error[:, images:].flatten(1) * counted).sum(1) / counted.sum(1).clamp(min=1)
        terms = {"image": error[:, :images].mean() * (images / number)} if images else {}
        return terms | {"label": label.mean() * (self.label_weight * (number - images) / number)}
