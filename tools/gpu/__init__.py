"""``python -m tools gpu``: what is claimed of GPUs, checked and measured on one."""
