"""`evaluate.json`, on top of `inference.json`: what the weights make against real volumes of one's own."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.parts import Config
from tools.catalogue.published.entry import PublishedBundle, place


def evaluate(bundle: PublishedBundle) -> Config:
    unit = "hounsfield" if bundle.modality == "CT" else "magnitude"
    return {
        "real_data": "$volume_datalist(@dataset_dir)",
        "num_volumes": "$len(@real_data)",
        **parts.spaces("untrained"),
        "real": {
            "_target_": "tools.data.cache.usable_dataset",
            "data": "@real_data",
            "transform": {
                "_target_": "tools.transforms.published.real_volumes",
                "size": "@size",
                "spacing": "@spacing",
                "axcodes": bundle.axcodes,
                "window": list(bundle.window) if bundle.modality == "CT" else None,
            },
        },
        "postprocessing": parts.compose(
            {"_target_": "Lambdad", "keys": "pred", "func": "$lambda made: made[:1]"},
            place(bundle),
            {"_target_": "Orientationd", "keys": "pred", "axcodes": "SPL"},
        ),
        "report": {
            "_target_": "tools.evaluation.report_handler.EvaluationReport",
            "output_dir": "@output_dir",
            "real": "@real",
            "spaces": "@spaces",
            "name": bundle.name,
            "comparing": parts.comparing(),
            "settings": {
                "bundle": bundle.name,
                "weights": "@ckpt_path",
                "data": "@dataset_dir",
                "size": "@size",
                "spacing": "@spacing",
                "steps": "@steps",
            },
            **({"window": list(bundle.window), "unit": parts.UNITS[unit]} if bundle.modality == "CT" else {}),
        },
        "handlers": ["@load_weights", "@report", parts.progress("Evaluation")],
        "run": ["$check_settings(output_dir=@output_dir)", "$@evaluator.run()"],
    }
