"""Every data set in miniature, laid out as the real one: ``MINIATURES`` by the names of ``DATASETS``."""

import json

import cv2
import h5py
import numpy as np
from scipy.io import savemat

from tests.helpers import market_folder

PICTURE = cv2.imencode(".png", np.full((8, 4, 3), 90, np.uint8))[1].tobytes()


def pictures(folder, *names):
    """Files that are pictures, whatever their names end in."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PICTURE)
    return folder


def market1501(folder):
    market_folder(folder, images=3)
    return pictures(
        folder / "gt_bbox", "0001_c1s1_000001_00.jpg", "0001_c4s1_000001_00.jpg", "0900_c1s1_000001_00.jpg"
    ).parent


def market1501_tracklets(folder):
    """Tracklets of 2 training people; of test person 3 in cameras 1 and 2; junk and distractors of one sequence."""
    pictures(
        folder / "bounding_box_train",
        *("0001_c1s1_000010_01.jpg", "0001_c1s1_000002_01.jpg", "0001_c2s1_000001_00.jpg", "0002_c1s1_000001_00.jpg"),
    )
    pictures(folder / "query", "0003_c1s1_000001_00.jpg")
    return pictures(
        folder / "bounding_box_test",
        *("-1_c1s1_000001_01.jpg", "0000_c1s1_000001_02.jpg", "0000_c1s1_000001_03.jpg"),
        *("0003_c1s1_000001_01.jpg", "0003_c1s1_000051_01.jpg", "0003_c1s2_000001_01.jpg", "0003_c2s1_000001_01.jpg"),
    ).parent


def dukemtmc_reid(folder):
    pictures(folder / "bounding_box_train", "0001_c2_f0046182.jpg", "0001_c8_f0046302.jpg", "0007_c2_f0046182.jpg")
    pictures(folder / "query", "0005_c2_f0046985.jpg")
    return pictures(folder / "bounding_box_test", "0005_c5_f0047105.jpg", "7000_c1_f0000001.jpg").parent


def msmt17(folder, train="train", test="test"):
    lists = {
        "train": ["0000/0000_000_01_0303morning_0015_0.jpg 0", "0001/0001_000_02_0303morning_0016_1.jpg 1"],
        "val": ["0001/0001_001_15_0113noon_0017_0.jpg 1"],
        "query": ["0000/0000_000_05_0303morning_0018_0.jpg 0"],
        "gallery": ["0000/0000_001_14_0303morning_0019_0.jpg 0", "0001/0001_000_05_0302noon_0020_0.jpg 1"],
    }
    for part, lines in lists.items():
        pictures(folder / (train if part in ("train", "val") else test), *(line.split()[0] for line in lines))
        (folder / f"list_{part}.txt").write_text("\n".join(lines) + "\n")
    return folder


def cuhk03_np(folder, parts=("bounding_box_train", "query", "bounding_box_test")):
    for part in parts:
        pictures(folder / part, *(f"{pid:04}_c{camera}_p1_{camera:02}.png" for pid in (0, 1) for camera in (1, 2)))
    return folder


CUHK03_PEOPLE = (3, 2)  # in each of two camera pairs
CUHK03_TESTS = [[(1, 1), (2, 2)], [(1, 3), (2, 1)]] * 10  # pair and person, by split


def cuhk03(folder):
    """cuhk-03.mat in MATLAB 7.3's form; a picture's colour says which one it is. Person 1 of pair 1 lacks picture 2."""
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "cuhk-03.mat", "w") as mat:
        store = mat.create_group("#refs#")

        def kept(data):
            return store.create_dataset(str(len(store)), data=data).ref

        def cell(references):
            return np.array(references, dtype=h5py.ref_dtype)

        for kind, blue in (("labeled", 200), ("detected", 100)):
            pairs = []
            for pair, people in enumerate(CUHK03_PEOPLE, 1):
                grid = cell(np.empty((10, people), object))
                for number, person in np.ndindex(10, people):
                    rgb = np.empty((6, 4, 3), np.uint8)
                    rgb[:] = (pair * 50 + person, number * 20, blue)
                    absent = (pair, person, number) == (1, 0, 1)
                    grid[number, person] = kept(np.zeros(2, np.uint64) if absent else rgb.T)
                pairs.append(kept(grid))
            mat.create_dataset(kind, data=cell([pairs]))
        mat.create_dataset("testsets", data=cell([[kept(np.array(people, float).T) for people in CUHK03_TESTS]]))
    return folder


def cuhk03_pictures(folder, kind, people=((1, 1), (1, 2), (2, 1))):
    """The pictures' folder as torchreid leaves it: 1, 2 in the first view, 6 in the second."""
    names = [f"{pair}_{person:03}_{view}_{n:02}.png" for pair, person in people for view, n in ((1, 1), (1, 2), (2, 6))]
    return pictures(folder / f"images_{kind}", *names).parent


def cuhk03_new(kind):
    def build(folder):
        cuhk03_pictures(folder, kind)
        names = sorted(path.name for path in (folder / f"images_{kind}").iterdir())
        lists = {
            "filelist": np.array([[name] for name in names], object),
            "labels": [[1]] * 3 + [[2]] * 3 + [[3]] * 3,
            "train_idx": [[7], [8], [9]],
            "query_idx": [[1], [4]],
            "gallery_idx": [[2], [3], [5], [6]],
        }
        savemat(folder / f"cuhk03_new_protocol_config_{kind}.mat", lists)
        return folder

    return build


def torchreid_splits(path, tests, both_directions=False):
    """A splits.json: ``tests`` are lists of (name in camera 1, name in camera 2)."""
    entries = []
    for pairs in tests:
        first = [[f"/somewhere/else/{name}", pid, 0] for pid, (name, _) in enumerate(pairs)]
        second = [[rf"D:\data\{name}", pid, 1] for pid, (_, name) in enumerate(pairs)]
        entries.append({"train": [], "query": first, "gallery": second})
        if both_directions:
            entries.append({"train": [], "query": second, "gallery": first})
    path.write_text(json.dumps(entries))


def viper(folder):
    people = range(7)
    pictures(folder / "VIPeR" / "cam_a", *(f"{person:03}_45.bmp" for person in people))
    return pictures(folder / "VIPeR" / "cam_b", *(f"{person:03}_90.bmp" for person in people)).parents[1]


def cuhk01(folder):
    return pictures(
        folder / "campus", *(f"{person:04}{n:03}.png" for person in range(1, 6) for n in (1, 2, 3, 4))
    ).parent


def mars(folder):
    """Test rows: junk, distractor, person 2 in cameras 1 and 2 (queries), person 2 in camera 1 again, person 4."""
    parts = {
        "train": [("0001C1T0001", 2, 1, 1), ("0001C2T0001", 1, 1, 2), ("0003C6T0002", 3, 3, 6)],
        "test": [
            ("00-1C1T0001", 2, -1, 1),
            ("0000C3T0001", 1, 0, 3),
            ("0002C1T0001", 2, 2, 1),
            ("0002C2T0001", 3, 2, 2),
            ("0002C1T0002", 1, 2, 1),
            ("0004C5T0001", 2, 4, 5),
        ],
    }
    info = folder / "info"
    info.mkdir(parents=True)
    for part, tracklets in parts.items():
        names, rows = [], []
        for stem, frames, pid, camera in tracklets:
            rows.append([len(names) + 1, len(names) + frames, pid, camera])
            names += [f"{stem}F{frame:03}.jpg" for frame in range(1, frames + 1)]
        pictures(folder / f"bbox_{part}", *(f"{name[:4]}/{name}" for name in names))
        (info / f"{part}_name.txt").write_text("\r\n".join(names) + "\r\n", newline="")
        savemat(info / f"tracks_{part}_info.mat", {f"track_{part}_info": np.array(rows, np.int32)})
    savemat(info / "query_IDX.mat", {"query_IDX": np.array([[3, 4]], np.uint16)})
    return folder


def dukemtmc_videoreid(folder):
    for part, tracklets in {
        "train": ["0001/0001/0001_C6_F{:04}_X30823.jpg", "0001/0002/0001_C1_F{:04}_X30823.jpg"],
        "query": ["0002/0010/0002C6F{:04}X30823.jpg"],
        "gallery": ["0002/0011/0002C8F{:04}X30823.jpg", "7000/0012/7000_C1_F{:04}_D00001.jpg"],
    }.items():
        pictures(folder / part, *(tracklet.format(frame) for tracklet in tracklets for frame in (10, 2)))
    return folder


def prid2011(folder, people=(1, 2, 3, 4, 5, 7), short=(6,), alone=(201,)):
    """Person 6 has one frame too few in camera b; person 201 of camera a is somebody else in camera b."""
    for camera in "ab":
        for person in (*people, *short, *alone):
            frames = 26 if person in short and camera == "b" else 27
            names = (f"{frame:04}.png" for frame in range(1, frames + 1))
            pictures(folder / "prid_2011" / "multi_shot" / f"cam_{camera}" / f"person_{person:04}", *names)
    return folder


def ilids_vid(folder, people=(1, 2, 5, 9)):
    for camera in (1, 2):
        for person in people:
            home = folder / "i-LIDS-VID" / "sequences" / f"cam{camera}" / f"person{person:03}"
            pictures(home, *(f"cam{camera}_person{person:03}_{frame:05}.png" for frame in (317, 318)))
    lists = folder / "train-test people splits"
    lists.mkdir()
    savemat(lists / "train_test_splits_ilidsvid.mat", {"ls_set": np.array([[1, 3, 2, 4], [4, 3, 2, 1]] * 5, np.uint16)})
    return folder


def struct(*rows, names):
    """A MATLAB struct array, one row an element."""
    array = np.empty(len(rows), [(name, object) for name in names])
    for at, row in enumerate(rows):
        array[at] = row
    return array


def located(*rows):
    """A struct array of frames with boxes; no box means that the person is not in the frame."""
    return struct(*((name, np.array(box, np.uint16), 0) for name, box in rows), names=("imname", "idlocate", "ishard"))


def cuhk_sysu(folder):
    """Frames s1, s2 train; s3..s6 test. Two queries: in s3 (also in s4) and in s4 (also in s5)."""
    pictures(folder / "Image" / "SSM", *(f"s{n}.jpg" for n in range(1, 7)))
    tests = folder / "annotation" / "test" / "train_test"
    tests.mkdir(parents=True)
    boxes = {
        "s1.jpg": [[0, 0, 2, 4], [2, 2, 2, 6]],
        "s2.jpg": [[1, 1, 2, 5]],
        "s3.jpg": [[0, 1, 2, 6], [2, 0, 1, 8]],
        "s4.jpg": [[0, 0, 2, 7], [2, 1, 2, 7], [0, 0, 0, 0]],
        "s5.jpg": [[1, 2, 2, 5]],
        "s6.jpg": [[1, 1, 3, 6]],
    }
    people = {
        name: struct(*((np.array(box, np.uint16), 0) for box in rows), names=("idlocate", "ishard"))
        for name, rows in boxes.items()
    }
    images = struct(*((n, len(p), p) for n, p in people.items()), names=("imname", "nAppear", "box"))
    savemat(folder / "annotation" / "Images.mat", {"Img": images})
    savemat(folder / "annotation" / "pool.mat", {"pool": np.array([f"s{n}.jpg" for n in (3, 4, 5, 6)], object)})
    trained = np.empty((2, 1), object)
    trained[0, 0] = struct(
        ("p1", 2, located(("s1.jpg", [0, 0, 2, 4]), ("s2.jpg", [1, 1, 2, 5]))), names=("idname", "nAppear", "scene")
    )
    trained[1, 0] = struct(("p2", 1, located(("s1.jpg", [2, 2, 2, 6]))), names=("idname", "nAppear", "scene"))
    savemat(tests / "Train.mat", {"Train": trained})
    for size, last in ((50, []), (100, [("s6.jpg", [])])):
        rows = [
            (located(("s3.jpg", [0, 1, 2, 6])), located(("s4.jpg", [0, 0, 2, 7]), ("s6.jpg", []), *last)),
            (located(("s4.jpg", [2, 1, 2, 7])), located(("s5.jpg", [1, 2, 2, 5]), ("s3.jpg", []), *last)),
        ]
        savemat(tests / f"TestG{size}.mat", {f"TestG{size}": struct(*rows, names=("Query", "Gallery"))})
    return folder


def folder(folder):
    pictures(folder, "0001_c1_a.jpg", "0001_c2_b.jpg", "0012_c1.png")
    pictures(folder / "query", "0003_c1_a.jpg")
    return pictures(folder / "gallery", "0003_c2_a.jpg", "0000_c2_b.jpg", "-1_c2_b.jpg").parent


def tracklet_folder(folder):
    pictures(folder, "0001_c1_x/2.jpg", "0001_c1_x/1.jpg", "0001_c2_y/1.jpg")
    pictures(folder / "query", "0003_c1_x/1.jpg")
    return pictures(folder / "gallery", "0003_c2_x/1.jpg", "-1_c2_x/1.jpg").parent


MINIATURES = {
    "market1501": market1501,
    "market1501_tracklets": market1501_tracklets,
    "dukemtmc_reid": dukemtmc_reid,
    "msmt17": msmt17,
    "cuhk03_np": cuhk03_np,
    "cuhk03_np_labeled": cuhk03_new("labeled"),
    "cuhk03_np_detected": cuhk03_new("detected"),
    "cuhk03_labeled": cuhk03,
    "cuhk03_detected": cuhk03,
    "viper": viper,
    "cuhk01": cuhk01,
    "cuhk_sysu": cuhk_sysu,
    "mars": mars,
    "dukemtmc_videoreid": dukemtmc_videoreid,
    "prid2011": prid2011,
    "ilids_vid": ilids_vid,
    "folder": folder,
    "tracklet_folder": tracklet_folder,
}
