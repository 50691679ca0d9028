"""Real recordings with known people, where they are at hand (they are not part of the project)."""

import csv
from pathlib import Path

import pytest

from tracker.cli import main

VIDEOS = Path(__file__).parents[2] / "shared" / "videos"

pytestmark = [
    pytest.mark.skipif(not VIDEOS.is_dir(), reason="the shared recordings are not on this machine"),
]


@pytest.mark.timeout(900)
def test_three_people_in_one_room_seen_by_two_cameras(tmp_path):
    videos = [str(VIDEOS / name) for name in ("vut_side.mp4", "vut_front.mp4")]
    assert main(["run", "--videos", *videos, "--out", str(tmp_path / "out")]) == 0
    rows = list(csv.DictReader((tmp_path / "out/identities.csv").read_text().splitlines()))
    lasting = [row for row in rows if float(row["duration_s"]) > 2]
    assert len(lasting) == 3
    assert all(set(row["cameras"].split(";")) == {"vut_side", "vut_front"} for row in lasting)
