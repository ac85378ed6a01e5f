"""Papers that the metadata of both methods cite."""

CRF_GAN = (
    "Shiri M, Bortolotto C, Bruno A, Consonni A, Grasso DM, Brizzi L, Loiacono D, Preda L. Comparative clinical "
    'evaluation of "memory-efficient" synthetic 3D generative adversarial networks (GAN) head-to-head to state of art: '
    "results on computed tomography of the chest."
)
HA_GAN = (
    "Sun L, Chen J, Xu Y, Gong M, Yu K, Batmanghelich K. Hierarchical amortized GAN for 3D high resolution medical "
    "image synthesis. IEEE J Biomed Health Inform 26(8):3966-3975, 2022."
)
CRF = "Li Y, Ping W. Cancer metastasis detection with neural conditional random field. arXiv 1806.07064, 2018."
