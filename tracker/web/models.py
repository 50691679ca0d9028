"""The embedder and the detector, loaded when first needed, used by one request at a time."""

import threading
from collections.abc import Callable
from pathlib import Path

from reid.embed import Embedder
from reid.runtime import resolve_device
from tracker.detect import Detector, YoloDetector
from tracker.library.examples import Example, embedder_for, library_mean, picture_example
from tracker.library.store import Library
from tracker.progress import Progress


class Models:
    """What turns pictures into examples.

    Args:
        device: as in ``Embedder``.
        embedder: file or name, where it is no longer where the runs found it.
    """

    def __init__(self, device: str = "auto", embedder: str | None = None) -> None:
        self.device, self.asked = device, embedder
        self._lock = threading.Lock()
        self._embedder: Embedder | None = None
        self._detector: Detector | None = None

    def example(self, library: Library, path: Path, choose: Callable[[], int | None], progress: Progress) -> Example:
        """A picture as an example; see ``picture_example``."""
        with self._lock:
            if self._embedder is None or self._embedder.model_id != library.meta.model_id:
                with progress.stage("loading the embedder", 0, ""):
                    self._embedder = embedder_for(library, self.asked, self.device)
            with progress.stage("looking for the person", 0, ""):
                mean = library_mean(library.meta.runs, library.meta.dim)
                return picture_example(path, self._embedder, mean, lambda: self._finder(progress), choose)

    def _finder(self, progress: Progress) -> Detector:
        if self._detector is None:
            with progress.stage("loading the detector", 0, ""):
                self._detector = YoloDetector(device=resolve_device(self.device))
        return self._detector
