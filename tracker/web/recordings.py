"""All recordings of the library's runs."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from reid.errors import ReidTrackError
from tracker.web.pages import render
from tracker.web.site import site_of

router = APIRouter()


@router.get("/recordings")
def recordings(request: Request) -> Response:
    """Each run with its recordings, to open in the player."""
    site = site_of(request)
    counts = site.catalogue().counts
    runs = []
    for entry in sorted(site.library().meta.runs.values(), key=lambda entry: entry.path):
        try:
            run, trouble = site.run(entry.id), ""
        except ReidTrackError as error:
            runs.append({"entry": entry, "recordings": [], "trouble": str(error), "manifest": {}})
            continue
        own = [
            one | {"sightings": counts[entry.id, one["name"]]} for one in run.manifest["recordings"] if "video" in one
        ]
        runs.append({"entry": entry, "recordings": own, "trouble": trouble, "manifest": run.manifest})
    return render(request, "recordings.html.j2", runs=runs)
