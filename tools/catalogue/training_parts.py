"""Parts of `train.json` and of its overlay for several GPUs that families share, as `parts` has those of the others."""

from __future__ import annotations

from typing import Any

from tools.catalogue.options import RENAMED
from tools.catalogue.parts import DEVICE, Config


def scales(phantom: Config, paper: Config, without_data: str = "@dataset_dir is None") -> Config:
    """Two sets of sizes, of which ``without_data`` decides, and an id for each size, so that any can be overridden."""
    chosen = {size: f"$@scales[@scale]['{size}']" for size in phantom}
    return {
        "scale": f"$'phantom' if {without_data} else 'paper'",
        "scales": {"phantom": phantom, "paper": paper},
        **chosen,
    }


def where_training_writes(name: str) -> Config:
    """The ids of places, devices and processes with which a ``train.json`` begins."""
    return {
        "bundle_root": f"bundles/{name}",
        "output_dir": "$@bundle_root + '/eval'",
        "ckpt_dir": "$@bundle_root + '/models'",
        "device": DEVICE,
        "rank": "$rank_and_world_size()[0]",
        "writer": "$tensorboard_writer(@output_dir)",
        "seed": 0,
        "deterministic": True,
        "dataset_dir": None,
    }


TRAINING_OPTIONS = (
    *("device", "seed", "image_size", "max_epochs", "batch_size", "val_interval", "num_workers", "save_interval"),
    *("window", "precision", "deterministic", "accumulation", "betas", "resume"),
)
"""Options of every training."""


def renamed(old: str, default: str, values: str = "") -> Config:
    """An option under its name and, unset, under its former one.

    Args:
        old: former name, a key of `options.RENAMED`.
        default: expression for the default.
        values: expression for a dictionary from former to present values, if those are renamed too.
    """
    new = RENAMED[old]
    arguments = [repr(old), f"@{old}", repr(new), default, *([values] if values else [])]
    return {old: None, new: f"$renamed({', '.join(arguments)})"}


OPTIMISED = "$@implementation == 'optimised'"
"""Whether a training computes in the optimised way, for what has a fused one."""


def adam(parameters: str, learning_rate: str, **more: Any) -> Config:
    return {
        "_target_": "torch.optim.Adam",
        "params": parameters,
        "lr": learning_rate,
        "betas": "@betas",
        **more,
    }


def update(name: str, networks: Config, optimizer: Config, loss: str, **more: Any) -> Config:
    """A line of the paper's algorithm: which networks learn, how, and by which loss."""
    return {
        "_target_": "tools.engines.update.Update",
        "name": name,
        "networks": networks,
        "optimizer": optimizer,
        "loss": loss,
        **more,
    }


def training_loader() -> Config:
    return {
        "_target_": "DataLoader",
        "dataset": "@train#dataset",
        "sampler": "@train#sampler",
        "batch_size": "@batch_size",
        "drop_last": "$full_batches(@train#sampler, @batch_size)",
        "num_workers": "@num_workers",
        "pin_memory": "$torch.device(@device).type == 'cuda'",
    }


def sampler(target: str) -> Config:
    """One process's share of the training data; ``multi_gpu_train.json`` lifts the restriction to one process."""
    return {"_target_": target, "dataset": "@train#dataset", "num_replicas": 1, "rank": 0, "seed": "@seed"}


PLACES: Config = {
    "directory": "@ckpt_dir",
    "models": "@models",
    "evaluator": "@validate#evaluator",
    "resume": "@resume",
    "writer": "@writer",
}
"""Where a training keeps what, for `training_handlers`."""


def training_handlers(also: Config | None = None, places: Config = PLACES) -> list[Config]:
    """Checkpoints, validation and logs: in this order, so that a validation that fails costs no epoch.

    Args:
        also: further parts of the training's state, kept in its checkpoints.
        places: folder, networks, validation, checkpoint to resume from and writer, of a stage of the training.
    """
    return [
        {
            "_target_": "tools.engines.checkpoint.TrainingCheckpoint",
            "directory": places["directory"],
            "models": places["models"],
            "settings": "@settings",
            "evaluator": places["evaluator"],
            "save_interval": "@save_interval",
            "n_saved": 2,
            "resume": places["resume"],
            **({"also": also} if also else {}),
        },
        {"_target_": "tools.engines.tracking.TrackedSettings", "_disabled_": "$@rank > 0", "settings": "@settings"},
        {
            "_target_": "tools.engines.validation.Validation",
            "validator": places["evaluator"],
            "interval": "@val_interval",
        },
        {
            "_target_": "StatsHandler",
            "_disabled_": "$@rank > 0",
            "tag_name": "train",
            "iteration_log": "$lambda engine, iteration: iteration % 10 == 0",
            "epoch_log": False,
            "output_transform": "$monai.handlers.from_engine('loss', first=True)",
        },
        {
            "_target_": "TensorBoardStatsHandler",
            "_disabled_": "$@rank > 0",
            "summary_writer": places["writer"],
            "tag_name": "train",
            "epoch_log": False,
            "output_transform": "$monai.handlers.from_engine('loss', first=True)",
        },
        {"_target_": "tools.engines.logging.Progress", "_disabled_": "$@rank > 0", "losses": True},
    ]


def trainer(handlers: str = "@train#handlers", **more: Any) -> Config:
    return {
        "_target_": "tools.engines.trainer.AlternatingTrainer",
        "device": "@device",
        "max_epochs": "@max_epochs",
        "train_data_loader": "@train#dataloader",
        "network": "@network",
        "updates": "@train#updates",
        "draw": "$@objective.draw",
        "seed": "@seed",
        "precision": "@precision",
        "accumulation": "@accumulation",
        **more,
        "train_handlers": handlers,
    }


# --- validation ---


def validation_data(preprocessing: Any, dataset: Config) -> Config:
    return {
        "preprocessing": preprocessing,
        "dataset": dataset,
        "sampler": None,
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@validate#dataset",
            "sampler": "@validate#sampler",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": "@num_workers",
        },
        "inferer": "@train#inferer",
        "distances": {
            "_target_": "tools.evaluation.handlers.FeatureDistances",
            "features": {"_target_": "tools.features.untrained.UntrainedFeatures"},
            "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
        },
    }


def validation_handlers(showing: Config | None = None) -> list[Config]:
    """The best weights, logs and pictures; ``showing`` has further arguments of the pictures."""
    return [
        {
            "_target_": "tools.engines.weights.BestModel",
            "directory": "@ckpt_dir",
            "models": "@models",
            "settings": "@settings",
        },
        *logs_of_validation(showing),
    ]


def logs_of_validation(showing: Config | None = None, writer: str = "@writer") -> list[Config]:
    """Logs and pictures; ``showing`` has further arguments of the pictures."""
    return [
        {"_target_": "StatsHandler", "_disabled_": "$@rank > 0", "iteration_log": False},
        {
            "_target_": "TensorBoardStatsHandler",
            "_disabled_": "$@rank > 0",
            "summary_writer": writer,
            "iteration_log": False,
        },
        {
            "_target_": "tools.engines.montage.TensorBoardMontage",
            "_disabled_": "$@rank > 0",
            "summary_writer": writer,
            **(showing or {}),
        },
        {"_target_": "tools.engines.logging.Progress", "_disabled_": "$@rank > 0", "desc": "Validation"},
    ]


def validator(network: str, **more: Any) -> Config:
    return {
        "_target_": "SupervisedEvaluator",
        "device": "@device",
        "val_data_loader": "@validate#dataloader",
        "network": network,
        **more,
        "inferer": "@validate#inferer",
        "key_val_metric": "@validate#key_metric",
        "additional_metrics": "@validate#additional_metrics",
        "metric_cmp_fn": "$is_smaller",
        "val_handlers": "@validate#handlers",
    }


def validation_of_samples(network: str, prepare_batch: Config, showing: Config | None = None) -> Config:
    """The section `validate` after its data: distances of what a network makes, kept in [-1, 1], to real images.

    Args:
        network: network that is validated.
        prepare_batch: callable that hands a batch to it.
        showing: further arguments of the pictures.
    """
    return {
        "postprocessing": {"_target_": "Lambdad", "keys": "pred", "func": "$lambda sample: sample.clamp(-1, 1)"},
        "key_metric": {"fid": "$@validate#distances['fid']"},
        "additional_metrics": {"mmd": "$@validate#distances['mmd']"},
        "handlers": validation_handlers(showing),
        "evaluator": validator(network, prepare_batch=prepare_batch, postprocessing="@validate#postprocessing"),
    }


def start_training() -> Config:
    return {
        "initialize": ["@check", "$seeded(@seed, @deterministic)"],
        "run": [
            "$check_settings(ckpt_dir=@ckpt_dir, output_dir=@output_dir)",
            "$lock_folders(@ckpt_dir, @output_dir)",
            "$@train#trainer.run()",
            "$print_left_out() if @rank == 0 else None",
        ],
    }


# --- several GPUs ---


def multi_gpu_train() -> Config:
    """An overlay of any `train.json`: one process for each GPU."""
    return {
        "device": "$torch.device('cuda', int(os.environ['LOCAL_RANK'])) if torch.cuda.is_available() "
        "else torch.device('cpu')",
        "train#sampler#num_replicas": None,
        "train#sampler#rank": None,
        "validate#sampler": {
            "_target_": "DistributedSampler",
            "dataset": "@validate#dataset",
            "even_divisible": False,
            "shuffle": False,
        },
        "initialize": [
            "@check",
            "$import torch.distributed as dist",
            "$torch.cuda.set_device(@device) if torch.cuda.is_available() else None",
            "$dist.init_process_group('nccl' if torch.cuda.is_available() else 'gloo')",
            "$seeded(@seed, @deterministic)",
        ],
        "finalize": ["$torch.distributed.destroy_process_group()"],
    }
