"""Corrections on the page: the run and the library change, the page says what changed, and it can be taken back."""

import threading

from tests.web.conftest import finished, rows, run_of, secret, visiting
from tracker.cli import main
from tracker.library.store import Library
from tracker.relinking.corrections import read_corrections
from tracker.web.jobs import Job, Jobs


def corrected(client, kind, *tracklets, run=None, **data):
    fields = {"csrf": secret(client), "kind": kind, "run": run or run_of(client, "monday"), "tracklet": list(tracklets)}
    return client.post("/correct", data={**fields, **data})


def named(client):
    """Identity by tracklet of the run monday, in the library as it is now."""
    monday = run_of(client, "monday")
    found = Library.open(client.site.name).tracklets.to_arrow().to_pylist()
    return {f"{row['recording']}/{row['track_id']}": row["identity"] for row in found if row["run"] == monday}


def pair(identities, *, together):
    """Two tracklets of one identity, or of two."""
    names = sorted(identities)
    return next(
        (one, other)
        for one in names
        for other in names
        if one < other
        and (identities[one] == identities[other]) == together
        and one.split("/")[0] != other.split("/")[0]
    )


def test_corrections_change_the_run_and_the_library_and_are_taken_back(changeable):
    with visiting(changeable / "lib") as client:
        before = named(client)
        one, other = pair(before, together=False)
        job = finished(client, corrected(client, "same", one, other))
        assert job.state == "done", job.error
        after = named(client)
        assert after[one] == after[other]
        page = client.get(f"{job.leads_to}?told={job.id}").text
        assert "became" in page
        assert ">Undo</button>" in page
        assert f"/identity/{run_of(client, 'monday')}/{after[one]}" == job.leads_to

        listed = client.get("/corrections").text
        assert f"{one} = {other}" in listed
        job = finished(client, corrected(client, "undo", number=1))
        assert job.state == "done", job.error
        assert named(client) == before
        assert "taken back by 2" in client.get("/corrections").text

        one, other = pair(before, together=True)
        finished(client, corrected(client, "different", one, other))
        assert named(client)[one] != named(client)[other]
        gone = finished(client, corrected(client, "nobody", one))
        assert one not in named(client)
        assert gone.leads_to == "/"
        assert f"/crop/{run_of(client, 'monday')}/{one}.jpg" not in client.get("/").text
        kinds = [one.kind for one in read_corrections(changeable / "monday", print)]
        assert kinds == ["same", "undo", "different", "nobody"]


def test_what_contradicts_itself_or_is_not_there_is_said_and_changes_nothing(changeable):
    with visiting(changeable / "lib") as client:
        before = named(client)
        one, other = pair(before, together=True)
        finished(client, corrected(client, "same", one, other))
        for kind, tracklets in (("different", (one, other)), ("nobody", ("a/999",)), ("same", (one, one))):
            job = finished(client, corrected(client, kind, *tracklets))
            assert job.state == "failed"
            assert job.error in client.get(f"/jobs/{job.id}").text.replace("&#39;", "'")
        assert named(client) == before
        for kind, tracklets in (("same", (one,)), ("nobody", ()), ("else", (one,)), ("nobody", ("../x",))):
            assert corrected(client, kind, *tracklets).status_code == 400
        assert corrected(client, "nobody", one, run="x").status_code == 404


def test_a_run_linked_again_elsewhere_is_said_so_and_brought_up_to_date(changeable):
    with visiting(changeable / "lib") as client:
        one, other = pair(named(client), together=True)
        assert main(["link", "monday", "--different", one, other]) == 0
        monday = run_of(client, "monday")
        page = client.get(f"/identity/{monday}/{named(client)[one]}").text
        assert "was linked again since" in page
        finished(client, client.post("/reindex", data={"csrf": secret(client), "run": monday}))
        assert named(client)[one] != named(client)[other]
        page = client.get(f"/identity/{monday}/{named(client)[one]}").text
        assert "was linked again since" not in page


def test_writing_is_one_after_the_other_and_reading_does_not_wait():
    jobs, order, hold = Jobs(), [], threading.Event()

    def slow(progress):
        order.append("begun")
        assert hold.wait(30)
        order.append("ended")

    first = jobs.start(Job("one"), slow, writes=True)
    second = jobs.start(Job("two"), lambda progress: order.append("second"), writes=True)
    third = jobs.start(Job("three"), lambda progress: order.append("read"))
    while third.state != "done":
        pass
    assert second.state == "waiting"
    assert "waiting" in second.told
    hold.set()
    jobs.close()
    assert order.index("ended") > order.index("read")
    if "second" in order:  # closing does not begin what waits
        assert order.index("second") > order.index("ended")
    else:
        assert second.state == "waiting"
    assert first.state == "done"


def test_work_says_how_far_it_is():
    jobs, seen, hold = Jobs(), threading.Event(), threading.Event()

    def work(progress):
        with progress.stage("reading", 10, "pages") as advance:
            advance(4)
            seen.set()
            assert hold.wait(30)

    job = jobs.start(Job("one"), work)
    assert seen.wait(30)
    assert job.told.startswith("reading: 4 of 10 pages, ")
    hold.set()
    jobs.close()


def test_work_that_breaks_is_one_line():
    jobs = Jobs()
    job = jobs.start(Job("one"), lambda progress: 1 / 0)
    jobs.close()
    assert job.state == "failed"
    assert job.error == "unexpected ZeroDivisionError: division by zero; please report it"


def test_comparing_says_how_probably_and_why(client):
    sightings = [row for row in rows(client) if row["run"] == run_of(client, "monday")]
    one, other = sightings[0], sightings[1]
    address = f"/compare/verdict?a={one['key']}&b={other['key']}"
    while "the same person, by looks" not in (text := client.get(address).text):
        assert "warning" not in text
    assert "%" in text
