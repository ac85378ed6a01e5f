"""The abdomen's labels, and how each tissue looks in CT and MR."""

from __future__ import annotations

from enum import IntEnum

from tools.data.phantoms.ct import Tissue
from tools.data.phantoms.mr import WaterFat


class Abdomen(IntEnum):
    """Labels of the abdomen."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    VISCERAL_FAT = 3
    MUSCLE = 4
    LIVER = 5
    GALLBLADDER = 6
    SPLEEN = 7
    RENAL_CORTEX = 8
    RENAL_MEDULLA = 9
    RENAL_PELVIS = 10
    ADRENAL = 11
    PANCREAS = 12
    GUT_WALL = 13
    STOMACH = 14
    BOWEL = 15
    STOOL = 16
    GAS = 17
    ARTERY = 18
    VEIN = 19
    PORTAL_VEIN = 20
    MYOCARDIUM = 21
    LUNG = 22
    LUNG_VESSEL = 23
    CORTEX = 24
    MARROW = 25
    CARTILAGE = 26
    DISC = 27
    SPINAL_CANAL = 28
    CORD = 29
    TABLE = 30
    TABLE_FOAM = 31


CLASSES = {
    "air": (Abdomen.AIR, Abdomen.GAS),
    "lung": (Abdomen.LUNG, Abdomen.LUNG_VESSEL),
    "fat": (Abdomen.SUBCUTANEOUS_FAT, Abdomen.VISCERAL_FAT),
    "bone": (Abdomen.CORTEX, Abdomen.MARROW),
}
"""Labels of coarse classes of tissue; all others of a patient are "soft"."""


def tissue_class(label: Abdomen) -> str:
    """The class of a patient's label: "air", "lung", "fat", "bone" or "soft"."""
    return next((name for name, labels in CLASSES.items() if label in labels), "soft")


ABDOMEN_CT = {
    Abdomen.AIR: Tissue(-1000),
    Abdomen.SKIN: Tissue(10, 15),
    Abdomen.SUBCUTANEOUS_FAT: Tissue(-104, 5, 7),
    Abdomen.VISCERAL_FAT: Tissue(-98, 6, 9),
    Abdomen.MUSCLE: Tissue(54, 6, 12),
    Abdomen.LIVER: Tissue(62, 5, 6),
    Abdomen.GALLBLADDER: Tissue(9, 5, 2),
    Abdomen.SPLEEN: Tissue(49, 4, 5),
    Abdomen.RENAL_CORTEX: Tissue(34, 4, 4),
    Abdomen.RENAL_MEDULLA: Tissue(32, 4, 4),
    Abdomen.RENAL_PELVIS: Tissue(6, 4, 2),
    Abdomen.ADRENAL: Tissue(28, 8, 4),
    Abdomen.PANCREAS: Tissue(40, 6, 12),
    Abdomen.GUT_WALL: Tissue(40, 6, 6),
    Abdomen.STOMACH: Tissue(25, 15, 16),
    Abdomen.BOWEL: Tissue(20, 8, 10),
    Abdomen.STOOL: Tissue(10, 30, 70),
    Abdomen.GAS: Tissue(-985, 8),
    Abdomen.ARTERY: Tissue(42, 4, 4),
    Abdomen.VEIN: Tissue(42, 4, 4),
    Abdomen.PORTAL_VEIN: Tissue(42, 4, 3),
    Abdomen.MYOCARDIUM: Tissue(48, 4, 4),
    Abdomen.LUNG: Tissue(-850, 25, 22),
    Abdomen.LUNG_VESSEL: Tissue(30, 10),
    Abdomen.CORTEX: Tissue(850, 90, 80),
    Abdomen.MARROW: Tissue(180, 40, 40),
    Abdomen.CARTILAGE: Tissue(110, 20, 20),
    Abdomen.DISC: Tissue(85, 10, 10),
    Abdomen.SPINAL_CANAL: Tissue(10, 5, 4),
    Abdomen.CORD: Tissue(38, 4, 3),
    Abdomen.TABLE: Tissue(-120, 60),
    Abdomen.TABLE_FOAM: Tissue(-900, 15),
}
"""Look of each tissue without contrast agent, in HU."""

ENHANCED = {
    Abdomen.MUSCLE: Tissue(62, 6, 12),
    Abdomen.LIVER: Tissue(112, 10, 6),
    Abdomen.SPLEEN: Tissue(122, 9, 5),
    Abdomen.RENAL_CORTEX: Tissue(190, 18, 8),
    Abdomen.RENAL_MEDULLA: Tissue(162, 18, 8),
    Abdomen.RENAL_PELVIS: Tissue(20, 10, 5),
    Abdomen.ADRENAL: Tissue(75, 10, 6),
    Abdomen.PANCREAS: Tissue(95, 10, 12),
    Abdomen.GUT_WALL: Tissue(85, 10, 8),
    Abdomen.ARTERY: Tissue(155, 16, 4),
    Abdomen.VEIN: Tissue(140, 16, 10),
    Abdomen.PORTAL_VEIN: Tissue(168, 16, 3),
    Abdomen.MYOCARDIUM: Tissue(105, 10, 5),
    Abdomen.LUNG_VESSEL: Tissue(130, 15),
}
"""The same in the portal venous phase, 70 s after the injection, of what takes up the agent (Bae 2010, doi
10.1148/radiol.10090908)."""

FAT_HU = -104.0
"""HU of fat; a fatty liver is a mixture of liver and fat, and darker in proportion (Kodama et al. 2007)."""

STEATOSIS = 0.056
"""Fraction of fat from which a liver is fatty (Szczepaniak et al. 2005, doi 10.1152/ajpendo.00064.2004)."""

ABDOMEN_MR = {
    Abdomen.AIR: WaterFat(0, 0, 1000, 50, 10),
    Abdomen.SKIN: WaterFat(0.45, 0.1, 900, 35, 12, 0.1, 0.1),
    Abdomen.SUBCUTANEOUS_FAT: WaterFat(0.06, 0.84, 900, 40, 20, 0.05, 0.04),
    Abdomen.VISCERAL_FAT: WaterFat(0.10, 0.78, 900, 40, 20, 0.05, 0.07),
    Abdomen.MUSCLE: WaterFat(0.77, 0.02, 860, 31, 25, 0.04, 0.09),
    Abdomen.LIVER: WaterFat(0.78, 0.0, 586, 46, 27, 0.06, 0.04),
    Abdomen.GALLBLADDER: WaterFat(0.95, 0.0, 2300, 400, 150, 0.3, 0.02),
    Abdomen.SPLEEN: WaterFat(0.82, 0.0, 1057, 79, 45, 0.06, 0.04),
    Abdomen.RENAL_CORTEX: WaterFat(0.84, 0.0, 966, 87, 55, 0.05, 0.05),
    Abdomen.RENAL_MEDULLA: WaterFat(0.88, 0.0, 1412, 85, 45, 0.05, 0.05),
    Abdomen.RENAL_PELVIS: WaterFat(0.97, 0.0, 3000, 500, 150, 0.1, 0.02),
    Abdomen.ADRENAL: WaterFat(0.70, 0.12, 700, 60, 35, 0.1, 0.05),
    Abdomen.PANCREAS: WaterFat(0.74, 0.08, 584, 46, 33, 0.06, 0.1),
    Abdomen.GUT_WALL: WaterFat(0.78, 0.02, 900, 50, 25, 0.08, 0.08),
    Abdomen.STOMACH: WaterFat(0.85, 0.03, 1500, 75, 30, 0.3, 0.15),
    Abdomen.BOWEL: WaterFat(0.85, 0.02, 1500, 85, 30, 0.3, 0.2),
    Abdomen.STOOL: WaterFat(0.50, 0.05, 600, 60, 10, 0.3, 0.3),
    Abdomen.GAS: WaterFat(0, 0, 1000, 50, 1),
    # blood that flows out of the slice between pulse and echo gives a fast spin echo no signal, hence the short T2
    Abdomen.ARTERY: WaterFat(0.85, 0.0, 1200, 22, 80, 0.05, 0.08),
    Abdomen.VEIN: WaterFat(0.85, 0.0, 1200, 35, 50, 0.05, 0.06),
    Abdomen.PORTAL_VEIN: WaterFat(0.85, 0.0, 1200, 38, 50, 0.05, 0.04),
    Abdomen.MYOCARDIUM: WaterFat(0.80, 0.01, 1030, 40, 30, 0.04, 0.15),
    Abdomen.LUNG: WaterFat(0.16, 0.0, 1100, 40, 1.8, 0.1, 0.15),
    Abdomen.LUNG_VESSEL: WaterFat(0.70, 0.0, 1200, 35, 12, 0.05, 0.1),
    Abdomen.CORTEX: WaterFat(0.05, 0.02, 500, 5, 2),
    Abdomen.MARROW: WaterFat(0.40, 0.36, 800, 50, 18, 0.08, 0.1),
    Abdomen.CARTILAGE: WaterFat(0.60, 0.0, 1000, 30, 10, 0.05, 0.05),
    Abdomen.DISC: WaterFat(0.75, 0.0, 1200, 75, 25, 0.1, 0.08),
    Abdomen.SPINAL_CANAL: WaterFat(0.97, 0.0, 3500, 300, 120, 0.05, 0.03),
    Abdomen.CORD: WaterFat(0.75, 0.02, 900, 80, 50, 0.03, 0.03),
}
"""Densities of water and fat, relaxation times of the water at 1.5 tesla: T1 and T2 of organs from de Bazelaire et al.
2004 (doi 10.1148/radiol.2303021331) and Stanisz et al. 2005 (doi 10.1002/mrm.20605), T2* in the order of Chavhan et al.
2009 (doi 10.1148/rg.295095034); contents of the gut, bone and lung as they look."""
