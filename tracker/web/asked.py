"""Where and when is looked, as pages' forms and addresses say it."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query

from reid.errors import BadInputError
from tracker.library.filters import Filters, Moment
from tracker.library.words import VOCABULARY, parse_words
from tracker.recordings import parse_start
from tracker.web.catalogue import Catalogue
from tracker.web.site import Site

Many = Annotated[list[str], Query(default_factory=list)]


@dataclass
class Asked:
    """Where and when is looked, as the page's form says it; the same names as in the address."""

    camera: Many
    recording: Many
    run: Many
    begin: Annotated[str, Query(alias="from")] = ""
    end: Annotated[str, Query(alias="to")] = ""
    min_length: str = ""
    words: str = ""

    def filters(self) -> Filters:
        """As the library understands it.

        Raises:
            BadInputError: a time or length that is none, or words that are not understood.
        """
        try:
            length = float(self.min_length or 0)
        except ValueError:
            raise BadInputError(f"{self.min_length!r} is no number of seconds") from None
        upper, lower = parse_words(self.words) if self.words.strip() else ((), ())
        return Filters(self.camera, self.recording, _moment(self.begin), _moment(self.end), length, upper, lower)

    def pairs(self) -> list[tuple[str, str]]:
        """As it stands in an address."""
        lists = (("camera", self.camera), ("recording", self.recording), ("run", self.run))
        several = [(name, value) for name, values in lists for value in values]
        single = (("from", self.begin), ("to", self.end), ("min_length", self.min_length), ("words", self.words))
        return several + [(name, value) for name, value in single if value]

    @property
    def anything(self) -> bool:
        """Whether it leaves anybody out."""
        return bool(self.pairs())


def choices(site: Site, catalogue: Catalogue) -> dict[str, Any]:
    """What the filters' form offers."""
    runs = sorted(site.library().meta.runs.values(), key=lambda entry: entry.path)
    names = {kind: catalogue.names(kind) for kind in ("camera", "recording")}
    return {
        "runs": runs,
        "cameras": names["camera"],
        "recordings": names["recording"],
        "clocks": catalogue.absolute,
        "vocabulary": VOCABULARY,
    }


def _moment(text: str) -> Moment | None:
    if not text.strip():
        return None
    try:
        return parse_start(text.strip())
    except BadInputError:
        raise BadInputError(f"{text!r} is neither a clock time (2026-03-01T22:15:00) nor a number of seconds") from None
