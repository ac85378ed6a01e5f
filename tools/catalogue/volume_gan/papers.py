"""Papers that the metadata of the methods cite."""

KWON = (
    "Kwon G, Han C, Kim DS. Generation of 3D brain MRI using auto-encoding generative adversarial networks. MICCAI "
    "2019, arXiv 1908.02498."
)
WGAN = "Arjovsky M, Chintala S, Bottou L. Wasserstein generative adversarial networks. ICML 2017, arXiv 1701.07875."
WGAN_GP = (
    "Gulrajani I, Ahmed F, Arjovsky M, Dumoulin V, Courville A. Improved training of Wasserstein GANs. NeurIPS 2017, "
    "arXiv 1704.00028."
)
VAE_GAN = (
    "Larsen ABL, Sonderby SK, Larochelle H, Winther O. Autoencoding beyond pixels using a learned similarity metric. "
    "ICML 2016, arXiv 1512.09300."
)
ALPHA_GAN = (
    "Rosca M, Lakshminarayanan B, Warde-Farley D, Mohamed S. Variational approaches for auto-encoding generative "
    "adversarial networks. arXiv 1706.04987, 2017."
)
CCE_GAN = "Xing S, Sinha H, Hwang SJ. Cycle consistent embedding of 3D brains with auto-encoding GANs. MIDL 2021."
SINKHORN = "Cuturi M. Sinkhorn distances: lightspeed computation of optimal transport. NeurIPS 2013, arXiv 1306.0895."
GAN_3D = (
    "Wu J, Zhang C, Xue T, Freeman WT, Tenenbaum JB. Learning a probabilistic latent space of object shapes via 3D "
    "generative-adversarial modeling. NeurIPS 2016, arXiv 1610.07584."
)
