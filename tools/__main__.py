"""The commands of the project: ``python -m tools`` lists them, ``python -m tools <command> --help`` explains one."""

import sys

from tools.command_line import run_command

COMMANDS = {
    "benchmark": "tools.benchmark.command:benchmark",
    "benchmark_distances": "tools.benchmark.distances:benchmark_distances",
    "benchmark_sampling": "tools.benchmark.sampling:benchmark_sampling",
    "benchmark_slices": "tools.benchmark.slice_store:benchmark_slices",
    "compare": "tools.compare.command:compare",
    "continuity": "tools.continuity:continuity",
    "coverage": "tools.evaluation.coverage:coverage",
    "denoising": "tools.denoising:denoising",
    "evaluate": "tools.evaluation.command:evaluate",
    "fetch_weights": "tools.published.command:fetch_weights",
    "filter_samples": "tools.filter_samples.command:filter_samples",
    "gallery": "tools.gallery.command:gallery",
    "generate": "tools.ensemble.command:generate",
    "gpu": "tools.gpu.command:gpu",
    "index": "tools.share.index:index",
    "inspect": "tools.share.inspection:inspect",
    "inspect_data": "tools.inspect_data.command:inspect_data",
    "new": "tools.catalogue.new:new",
    "onnx": "tools.share.onnx_export:onnx",
    "pack": "tools.share.pack:pack",
    "phantom": "tools.phantom:phantom",
    "preprocess": "tools.preprocess:preprocess",
    "privacy": "tools.privacy.command:privacy",
    "rank": "tools.rank.command:rank",
    "lengths": "tools.lengths:lengths",
    "split": "tools.split:split",
    "study": "tools.study.command:StudyCommands",
    "train_ensemble": "tools.ensemble.training:train_ensemble",
    "usefulness": "tools.usefulness.command:usefulness",
    "write_bundles": "tools.catalogue.write:write_bundles",
}
"""Name -> where it is; imported when it is run."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command, or list all of them; ``arguments`` are the command line's if None."""
    run_command(COMMANDS, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    main()
