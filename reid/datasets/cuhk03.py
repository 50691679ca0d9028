"""CUHK03, new protocol (Zhong et al., CVPR 2017), folder form ``PID_cCAM_pPAIR_NN.jpg``."""

import re
from pathlib import Path

from reid.datasets.types import Split, read_folder

_NAME = re.compile(r"(\d+)_c(\d+)")
_EXAMPLE = "0001_c1_p1_01.jpg"


def cuhk03_np(folder: Path) -> Split:
    """Load ``bounding_box_train`` below ``folder`` and, where both are there, ``query`` and ``bounding_box_test``."""
    query, gallery = folder / "query", folder / "bounding_box_test"
    complete = query.is_dir() and gallery.is_dir()
    return Split(
        train=read_folder(folder / "bounding_box_train", _NAME, _EXAMPLE),
        query=read_folder(query, _NAME, _EXAMPLE) if complete else None,
        gallery=read_folder(gallery, _NAME, _EXAMPLE) if complete else None,
    )
