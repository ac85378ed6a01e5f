"""The model card: what a stranger should know of trained weights, from what their training left behind."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.share.zoo import has_weights
from tools.torch_files import read_torch_file

logger = logging.getLogger(__name__)

NOT_RECORDED = "not recorded"

COMPUTED = "None: the bundle computes what it makes, without a network and without weights."

MIND = ("MIND loss", "between the volumes and what they were translated from, from 0 (alike) to 1")
AT_VALIDATION = {
    "fid": ("FID", "in the features of an untrained network: not comparable with any paper's"),
    "mind": MIND,
    "structure": MIND,  # its name in weights of earlier versions
}
"""Key metrics by which a model is chosen -> what they are called, and what they say."""


def model_card(
    metadata: Mapping[str, Any],
    settings: Mapping[str, Any],
    training: Mapping[str, Any],
    report: Mapping[str, Any] | None,
) -> str:
    """A section in Markdown.

    Args:
        metadata: metadata of the packed bundle.
        settings: the content of `models/model.json`.
        training: result of ``training_facts``.
        report: the content of `eval/report.json`, None if the bundle was not evaluated.
    """
    computes = not has_weights(metadata)
    lines = [
        "## Model card",
        "",
        _row("Name", metadata.get("name", settings.get("bundle", ""))),
        _row("Version", f"{metadata['version']}: {metadata['changelog'][metadata['version']]}"),
        _row("Task", metadata.get("task", "")),
        _row("Intended use", metadata.get("intended_use", "")),
        _row("Authors", metadata.get("authors", "")),
        _row("Licence", f"of code{'' if computes else ' and weights'} `LICENSE`; of the data `docs/data_license.txt`"),
        "",
        "### Training",
        "",
        *([COMPUTED] if computes else _training(metadata, settings, training)),
        "",
        "### Evaluation",
        "",
        *(["No evaluation report was packed."] if computes and report is None else _evaluation(settings, report)),
    ]
    return "\n".join(lines) + "\n"


def training_facts(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Iterations until the weights' epoch, and versions of packages, from a checkpoint of the same training.

    Args:
        folder: `models` of a bundle.
        settings: the content of `model.json` there.

    Returns:
        Empty if there is no checkpoint.
    """
    for path in sorted(folder.glob("checkpoint_epoch=*.pt")):
        try:
            checkpoint = read_torch_file(path)
        except ValueError as error:
            logger.warning(f"{error} The model card is written without it.")
            continue
        told = {key: value for key, value in checkpoint.get("settings", {}).items() if key in settings}
        if any(settings[key] != value for key, value in told.items()):
            continue  # of another training
        facts = {"versions": checkpoint.get("versions", {})}
        if "epoch" in settings and "epoch_length" in checkpoint:
            facts["iterations"] = settings["epoch"] * checkpoint["epoch_length"]
        return facts
    return {}


def _training(metadata: Mapping[str, Any], settings: Mapping[str, Any], training: Mapping[str, Any]) -> list[str]:
    data = settings.get("data", {})
    return [
        _trained_on(metadata, data),
        "",
        _row("Volumes", data.get("volumes", NOT_RECORDED)),
        _row("SHA-256 of their identifiers", data.get("ids_sha256", NOT_RECORDED)),
        _row("Epoch of these weights", settings.get("epoch", NOT_RECORDED)),
        _row("Iterations until then", training.get("iterations", NOT_RECORDED)),
        _row("Versions", ", ".join(f"{k} {v}" for k, v in training.get("versions", {}).items()) or NOT_RECORDED),
        _row("Settings", f"`{json.dumps({k: v for k, v in settings.items() if k in _told(settings)})}`"),
    ]


def _told(settings: Mapping[str, Any]) -> list[str]:
    """Settings that have no line of their own."""
    return [key for key in settings if key not in ("bundle", "data", "epoch")]


def _trained_on(metadata: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    kind = data.get("kind", NOT_RECORDED)
    if kind == "phantom":
        made = json.dumps(data.get("phantom", {}))
        return (
            f"**Trained on phantoms, which are computed anatomy, not patients**: `{made}`. The weights show that the "
            "bundle works, and nothing about how it would do on real data."
        )
    return f"Trained on {kind} data: {metadata.get('data_source', NOT_RECORDED)}."


def _evaluation(settings: Mapping[str, Any], report: Mapping[str, Any] | None) -> list[str]:
    lines = [
        f"{name} {settings[key]:.4g} at validation while training, {meaning}."
        for key, (name, meaning) in AT_VALIDATION.items()
        if key in settings
    ]
    if report is None:
        return (
            [*lines, "", "No evaluation report was packed (`evaluate.json` writes one)."]
            if lines
            else ["The weights were not evaluated (`evaluate.json` does that)."]
        )
    lines += ["", "| images | metric | features | value | 95% interval |", "|---|---|---|---|---|"]
    for space, content in report.get("spaces", {}).items():
        for images, metrics in content.get("models", {}).items():
            for metric, number in metrics.items():
                low, high = number.get("low"), number.get("high")
                interval = "" if low is None or high is None else f"{low:.4g} to {high:.4g}"
                value = "" if number.get("value") is None else f"{number['value']:.4g}"
                lines.append(f"| {images} | {metric} | {space} | {value} | {interval} |")
    for method, metrics in report.get("truth", {}).items():
        for metric, value in metrics.items():
            if isinstance(value, int | float):
                lines.append(f"| {method} | {metric} | known truth | {value:.4g} | |")
    return lines


def _row(name: str, value: Any) -> str:
    return f"- {name}: {value}"
