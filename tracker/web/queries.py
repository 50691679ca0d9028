"""A search by pictures, from what a visitor gave to vectors; remembered so that it can be narrowed down."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reid.errors import BadInputError, DataError, ReidTrackError
from tracker.library.examples import Example, SeveralPeopleError
from tracker.library.store import Library
from tracker.progress import Progress
from tracker.types import Floats
from tracker.web.jobs import Job
from tracker.web.models import Models

KEPT = 100


@dataclass
class Picture:
    """A visitor's picture.

    Attributes:
        path: where it is kept.
        name: what the visitor calls it.
        against: it shows somebody who is not meant.
        person: the number of who is meant, from 1; 0 where nobody was chosen.
        found: (n, 4) xyxy of the people on it, where one has to be chosen.
        example: what it came to.
    """

    path: Path
    name: str
    against: bool = False
    person: int = 0
    found: Floats | None = None
    example: Example | None = None


@dataclass
class Query:
    """A search by pictures.

    Attributes:
        pictures: of the person, and of others.
        model_id: of the embedder that its examples are of.
        job: that works on it.
    """

    pictures: Sequence[Picture]
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    model_id: str = ""
    job: Job | None = None

    def undecided(self) -> Picture | None:
        """The first picture on which somebody has to be chosen."""
        return next((one for one in self.pictures if one.found is not None and not one.person), None)

    def examples(self, *, against: bool) -> list[Example]:
        """Of the person, or of others."""
        return [one.example for one in self.pictures if one.example and one.against == against]


class Queries:
    """The searches of a site, the last ``KEPT``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Query] = OrderedDict()

    def add(self, query: Query) -> None:
        """Remember one."""
        with self._lock:
            self._known[query.id] = query
            while len(self._known) > KEPT:
                self._known.popitem(last=False)

    def get(self, name: str) -> Query | None:
        """One by its id; None where it is not known any more."""
        return self._known.get(name)


def work_out(query: Query, library: Library, models: Models, progress: Progress) -> None:
    """Turn a search's pictures into vectors, as far as it is known who is meant.

    Raises:
        DataError: nobody is found on a picture.
        BadInputError, ModelError: the embedder is not there.
    """
    query.model_id = library.meta.model_id
    for picture in query.pictures:
        if picture.example is not None:
            continue
        if not picture.path.is_file():
            raise DataError(f"{picture.name}: this search is too long ago; give the picture again")
        try:
            picture.example = models.example(library, picture.path, lambda: picture.person or None, progress)  # noqa: B023
        except SeveralPeopleError as error:
            picture.found = error.found.xyxy
        except ReidTrackError as error:
            raise type(error)(str(error).replace(str(picture.path), picture.name)) from None


def choose(query: Query, number: int, person: int) -> None:
    """Say who is meant on a picture.

    Raises:
        BadInputError: there is no such picture, or nobody of this number on it.
    """
    if not 0 <= number < len(query.pictures):
        raise BadInputError("The search has no such picture.")
    picture = query.pictures[number]
    if picture.found is None or not 1 <= person <= len(picture.found):
        raise BadInputError(f"{picture.name}: nobody on it has the number {person}")
    picture.person, picture.example = person, None
