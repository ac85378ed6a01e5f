"""The trainer that every family shares, and the handlers around it."""

from tools.engines.checkpoint import TrainingCheckpoint, lock_folders
from tools.engines.draws import Draws
from tools.engines.ema import ExponentialMovingAverage
from tools.engines.generation import OneByOneInferer, PrepareLatents, write_by_slabs
from tools.engines.handover import Handover
from tools.engines.logging import Progress, TensorBoardMontage, tensorboard_writer
from tools.engines.schedule import constant_then_linear, epochs_for
from tools.engines.settings import check_settings, enough_for_a_batch, full_batches, renamed
from tools.engines.tracking import TrackedSettings
from tools.engines.trainer import AlternatingTrainer, rank_and_world_size
from tools.engines.translation import SlabInferer
from tools.engines.update import Update
from tools.engines.validation import Validation, is_smaller
from tools.engines.weights import BestModel, ModelCheckpointLoader, ModelLoader, model_settings, weights_beside

__all__ = [
    "AlternatingTrainer",
    "BestModel",
    "Draws",
    "ExponentialMovingAverage",
    "Handover",
    "ModelCheckpointLoader",
    "ModelLoader",
    "OneByOneInferer",
    "PrepareLatents",
    "Progress",
    "SlabInferer",
    "TensorBoardMontage",
    "TrackedSettings",
    "TrainingCheckpoint",
    "Update",
    "Validation",
    "check_settings",
    "constant_then_linear",
    "enough_for_a_batch",
    "epochs_for",
    "full_batches",
    "is_smaller",
    "lock_folders",
    "model_settings",
    "rank_and_world_size",
    "renamed",
    "tensorboard_writer",
    "weights_beside",
    "write_by_slabs",
]
