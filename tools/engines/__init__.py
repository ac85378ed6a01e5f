"""The trainer that every family shares, and the handlers around it."""

from tools.engines.checkpoint import BestModel, TrainingCheckpoint, load_model, model_settings
from tools.engines.draws import Draws
from tools.engines.ema import ExponentialMovingAverage
from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update

__all__ = [
    "AlternatingTrainer",
    "BestModel",
    "Draws",
    "ExponentialMovingAverage",
    "TrainingCheckpoint",
    "Update",
    "load_model",
    "model_settings",
]
