"""CycleGANs between MR and CT (Crespi et al.): the paper's set-ups."""

from __future__ import annotations

from tools.catalogue.cyclegan.entry import TranslationBundle
from tools.catalogue.cyclegan.inference import evaluate, inference
from tools.catalogue.cyclegan.metadata import facts, metadata
from tools.catalogue.cyclegan.options import OPTIONS
from tools.catalogue.cyclegan.training import train
from tools.catalogue.parts import Config
from tools.catalogue.terms import PHANTOMS, data_license
from tools.datasets.chaos import CHAOS

__all__ = ["BUNDLES", "OPTIONS", "TranslationBundle", "configs", "facts", "metadata", "terms"]


def configs(bundle: TranslationBundle) -> dict[str, Config]:
    return {
        "train": train(bundle),
        "inference": inference(bundle),
        "inference_ct2mr": inference(bundle, to_mr=True),
        "evaluate": evaluate(bundle),
    }


def terms(bundle: TranslationBundle) -> str:
    return data_license(*(text for text in (CHAOS.terms, bundle.own_terms, PHANTOMS) if text))


BUNDLES = (
    TranslationBundle("cyclegan_mri2ct_all_in", "All-in", ("in_phase", "out_phase"), pool=True),
    TranslationBundle("cyclegan_mri2ct_inphase", "In-phase", ("in_phase",)),
    TranslationBundle(
        "cyclegan_mri2ct_inphase_plus",
        "In-phase+",
        ("in_phase",),
        own_mr="extra_mr_dir",
        data=f"{CHAOS.source}, and further T1-weighted abdominal MR of your choice (the paper took some from The "
        "Cancer Imaging Archive, without saying which); without them, abdomen phantoms that the bundle makes",
        own_terms="Further MR of your own, given with --extra_mr_dir, keeps its own licence.",
    ),
    TranslationBundle("cyclegan_mri2ct_t2", "T2", ("t2",)),
    TranslationBundle("cyclegan_mri2ct_inout", "In'n out", ("in_phase", "out_phase")),
    TranslationBundle(
        "cyclegan_mri2ct_inout_hum",
        "In'n out HUM",
        ("in_phase", "out_phase"),
        contrast_ct=False,
        whole_body_ct=True,
        data=f"MR of {CHAOS.source}, and non-contrast CT of your own (the paper's is not public); without them, "
        "abdomen phantoms that the bundle makes",
        own_terms="CT of your own, given with --ct_dir, keeps its own licence. The CT of the paper (Humanitas) is not "
        "public.",
    ),
    TranslationBundle("cyclegan_triple", "Triple", ("in_phase", "out_phase", "t2")),
)
