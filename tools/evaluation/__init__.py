"""Sets of images against each other: summaries, comparison, report, and the command that makes them of folders."""
