"""What bundles there are: one module per family states its configs once, and a bundle is an entry of its module.

``python -m tools write_bundles`` writes ``bundles/*/configs``, ``LICENSE`` and the documents in ``docs`` from here.
Nothing here imports torch or MONAI: what configs name is text, so that listing the bundles takes no time.
"""
