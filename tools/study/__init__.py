"""Reader studies of synthetic images: the two-alternative forced choice of CRF-GAN's paper, the blind survey of the
CycleGANs' paper, and their analysis.
"""
