"""What bundles there are: one module per family states its configs once, and a bundle is an entry of its module.

``python -m tools write_bundles`` writes ``bundles/*/configs``, ``LICENSE`` and ``docs/data_license.txt`` from here.
Nothing here imports torch or MONAI: what configs name is text, so that listing the bundles takes no time.
"""
