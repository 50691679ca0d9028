"""samples/edge: the programs run on their own and agree with the application, the one in C++ with those in Python."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.calibration import Calibration, Curve, OperatingPoint
from reid.embed import EMBEDDERS, Card, Embedder
from reid.images import resize_crop
from tests.clips import photograph
from tests.helpers import colour_embedder

EDGE = Path(__file__).parents[1] / "samples" / "edge"
STANDARD = EMBEDDERS["standard"]
CURVE = Curve(10.0, -6.0, (OperatingPoint(0.01, 0.5, 0.9), OperatingPoint(0.001, 0.75, 0.5)))
COLOUR = Card("colour", (8, 4), "nothing", "free", 1, "0" * 64, {}, Calibration(Curve(1.0, 0.0), CURVE))


@pytest.fixture(scope="module")
def folder_on_path():
    """As where a program of the folder is started."""
    sys.path.insert(0, str(EDGE))
    yield
    sys.path.remove(str(EDGE))
    for name in ("edge", "streams"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def edge(folder_on_path):
    return importlib.import_module("edge")


@pytest.fixture(scope="module")
def streams(folder_on_path):
    return importlib.import_module("streams")


def write_ppm(path, crop, comment=b""):
    path.write_bytes(
        b"P6\n%b%d %d\n255\n" % (comment, crop.shape[1], crop.shape[0]) + np.ascontiguousarray(crop).tobytes()
    )
    return path


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Two people of one photograph, as PPM files."""
    folder = tmp_path_factory.mktemp("people")
    picture = photograph("bus.jpg")[:, :, ::-1]
    boxes = {"a.ppm": (398, 902, 48, 246), "b.ppm": (405, 860, 223, 345), "small.ppm": (398, 500, 60, 120)}
    for name, (top, bottom, left, right) in boxes.items():
        write_ppm(folder / name, picture[top:bottom, left:right], b"# a person\n")
    return folder


def start(program, *words, check=True):
    """A program of the folder, as a user starts it, from elsewhere."""
    return subprocess.run(
        [sys.executable, str(EDGE / program), *map(str, words)],
        capture_output=True, text=True, check=check, cwd=EDGE.parents[1] / "tests",
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def test_the_python_program_says_what_the_application_says(people):
    crops = [photograph("bus.jpg")[398:902, 48:246, ::-1], photograph("bus.jpg")[405:860, 223:345, ::-1]]
    embedder = Embedder(STANDARD, "cpu")
    a, b = embedder(crops)
    curve = embedder.calibration.crops
    similarity, threshold, answer, probability = start(
        "compare.py", STANDARD, people / "a.ppm", people / "b.ppm"
    ).stdout.splitlines()
    assert float(similarity.split()[1]) == pytest.approx(float(a @ b), abs=1e-4)
    assert threshold == f"threshold {curve.similarity_at(0.001):.4f} at 0.001 false matches"
    assert answer == "different people"
    assert float(probability.split()[1]) == pytest.approx(float(curve.probability(a @ b)), abs=1e-3)
    same = start("compare.py", STANDARD, people / "a.ppm", people / "a.ppm").stdout.splitlines()
    assert same[0] == "similarity 1.000000"
    assert same[2] == "same person"


def test_it_needs_onnx_runtime_and_numpy_alone():
    code = (
        "import runpy, sys\nsys.path.insert(0, sys.argv[1])\n"
        "for name in ('edge', 'compare', 'streams'): runpy.run_path(f'{sys.argv[1]}/{name}.py')\n"
        "print({one.partition('.')[0] for one in sys.modules} & {'torch', 'cv2', 'onnx', 'reid', 'export', 'tracker'})"
    )
    made = subprocess.run([sys.executable, "-c", code, str(EDGE)], capture_output=True, text=True, check=True)
    assert made.stdout == "set()\n"


@pytest.mark.parametrize("shape", [(400, 200), (192, 96), (500, 60), (60, 500), (20, 9), (1, 1), (193, 97)])
def test_its_vectors_are_the_applications(edge, shape):
    crop = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    ours, theirs = edge.Embedder(str(STANDARD), threads=1)([crop]), Embedder(STANDARD, "cpu", 1)([crop])
    assert float((ours * theirs).sum()) > 0.9999


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 90)] * 2), st.tuples(*[st.integers(1, 40)] * 2), st.integers(0, 9))
def test_it_resizes_as_the_application_but_for_rounding(edge, shape, size, seed):
    crop = np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)
    difference = np.abs(edge.resized(crop, size).astype(int) - resize_crop(crop, size))
    assert difference.max() <= 1


def test_means_of_areas_by_hand(edge):
    crop = np.array([[0, 60, 90], [30, 0, 30], [90, 30, 60]], np.uint8)[..., None].repeat(3, 2)
    assert edge.resized(crop, (1, 1))[..., 0].tolist() == [[43]]
    assert edge.weights(3, 2, area=True).tolist() == [
        pytest.approx([2 / 3, 1 / 3, 0]),
        pytest.approx([0, 1 / 3, 2 / 3]),
    ]
    assert edge.weights(2, 4, area=False).tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
@pytest.mark.parametrize("batch", [0, 2])
def test_it_follows_the_files_colour_order_and_batch(edge, tmp_path, colour, batch):
    path = colour_embedder(tmp_path / "a.onnx", Card(**{**vars(COLOUR), "colour": colour, "batch": batch}))
    if batch:
        model = onnx.load(path)
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = batch
        onnx.save(model, path)
    crops = [np.full((8, 4, 3), rgb, np.uint8) for rgb in ([200, 0, 0], [0, 100, 50], [9, 9, 9])]
    rows = np.array([[201, 1, 1], [1, 101, 51], [10, 10, 10]], float)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = edge.Embedder(str(path))(crops)
    assert vectors == pytest.approx(rows[:, :: -1 if colour == "bgr" else 1], abs=1e-6)


def test_thresholds_and_probabilities_are_the_files(edge, tmp_path):
    embedder = edge.Embedder(str(colour_embedder(tmp_path / "a.onnx", COLOUR)))
    assert embedder.threshold(0.001) == 0.75
    assert embedder.probability(0.6) == 0.5
    assert embedder.probability(0.9) == pytest.approx(float(CURVE.probability(0.9)))
    with pytest.raises(ValueError, match=r"no threshold for 0\.02; known: 0\.01, 0\.001"):
        embedder.threshold(0.02)


@pytest.mark.parametrize("comment", [b"", b"# one\n# two\n"])
def test_crops_are_read_from_ppm_and_npy(edge, tmp_path, comment):
    crop = np.random.default_rng(0).integers(0, 256, (5, 3, 3), np.uint8)
    crop[0, 0] = [35, 10, 32]  # "#", a new line and a blank are pixels here
    assert (edge.read_crop(write_ppm(tmp_path / "a.ppm", crop, comment)) == crop).all()
    np.save(tmp_path / "a.npy", crop)
    assert (edge.read_crop(tmp_path / "a.npy") == crop).all()


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory, people):
    """What may be given wrongly, by name."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "text.ppm").write_text("not a picture")
    (folder / "cut.ppm").write_bytes((people / "a.ppm").read_bytes()[:5000])
    colour_embedder(folder / "uncalibrated.onnx", Card(**{**vars(COLOUR), "calibration": None}))
    colour_embedder(folder / "foreign.onnx", metadata={})
    return {"people": people, "here": folder, "standard": STANDARD}


MISTAKES = [  # what is given, what the programs in Python and in C++ say
    (("{standard}", "{people}/a.ppm", "{here}/text.ppm"), "not a PPM of 8 bits", "not a PPM of 8 bits"),
    (("{standard}", "{people}/a.ppm", "{here}/cut.ppm"), "cannot be read", "is cut short"),
    (("{standard}", "{people}/a.ppm", "{here}/none.ppm"), "cannot be read", "cannot be opened"),
    (("{here}/uncalibrated.onnx", "{people}/a.ppm", "{people}/b.ppm"), "no calibration; make", "no calibration; make"),
    (("{here}/foreign.onnx", "{people}/a.ppm", "{people}/b.ppm"), "no embedder of reidtrack", "no embedder of"),
    (("{here}/none.onnx", "{people}/a.ppm", "{people}/b.ppm"), "none.onnx: cannot be opened", "none.onnx"),
]


@pytest.mark.parametrize(("words", "message"), [(words, message) for words, message, _ in MISTAKES])
def test_mistakes_end_in_one_line(mistakes, words, message):
    made = start("compare.py", *(word.format(**mistakes) for word in words), check=False)
    assert made.returncode == 1
    assert re.fullmatch(rf"error: .*{message}.*\n", made.stderr)


@pytest.mark.parametrize(("words", "message"), [(words, message) for words, _, message in MISTAKES])
def test_mistakes_end_in_one_line_in_cpp_too(compiled, mistakes, words, message):
    words = [word.format(**mistakes) for word in words]
    made = subprocess.run([compiled, *words], capture_output=True, text=True, check=False)
    assert made.returncode == 1
    assert re.fullmatch(rf"error: .*{message}.*\n", made.stderr)


def test_streams_share_an_embedder(people):
    lines = start(
        "streams.py",
        STANDARD,
        people / "a.ppm",
        people / "small.ppm",
        "--streams",
        "3",
        "--seconds",
        "1.5",
        "--fps",
        "5",
    ).stdout.splitlines()
    assert len(lines) == 4
    for number, line in enumerate(lines[:3], 1):
        assert re.fullmatch(rf"stream {number}: [\d.]+ crops/s, latency [\d.]+ ms, 95 % within [\d.]+ ms", line)
    rate, together = re.fullmatch(r"all: ([\d.]+) crops/s, ([\d.]+) a batch", lines[3]).groups()
    assert float(rate) > 0
    assert float(together) > 3  # a frame's three people at least once met another stream's


def test_every_stream_gets_its_own_vectors_in_batches_that_are_not_too_large(streams):
    sizes = []

    def embed(crops):
        sizes.append(len(crops))
        return np.array([[crop[0, 0, 0], 0] for crop in crops], np.float32)

    batcher = streams.Batcher(embed, batch=4, wait=0.05)
    futures = [batcher.submit(np.full((1, 1, 3), number, np.uint8)) for number in range(10)]  # all before it begins
    batcher.start()
    assert [future.result(10)[0] for future in futures] == list(range(10))
    batcher.close()
    assert sizes == [4, 4, 2]
    assert (batcher.crops, batcher.batches) == (10, 3)


def test_a_batch_that_fails_is_told_to_those_who_asked_and_ends_nothing(streams):
    def embed(crops):
        if crops[0].shape[0] == 2:
            raise ValueError("two rows")
        return np.zeros((len(crops), 1), np.float32)

    batcher = streams.Batcher(embed, batch=1)
    batcher.start()
    bad, good = (batcher.submit(np.zeros((rows, 1, 3), np.uint8)) for rows in (2, 1))
    with pytest.raises(ValueError, match="two rows"):
        bad.result(10)
    assert good.result(10).shape == (1,)
    batcher.close()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The program in C++, against the library of the Python package, or what is installed where that has none."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler is installed")
    folder = tmp_path_factory.mktemp("build")
    options = ["-DCMAKE_BUILD_TYPE=Release"]
    carried = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if carried:
        for name in ("libonnxruntime.so", "libonnxruntime.so.1"):  # the names that it is linked and loaded by
            (folder / name).symlink_to(carried[0])
        options.append(f"-DONNXRUNTIME_LIBRARY={folder / 'libonnxruntime.so'}")
    configured = cmake("-S", EDGE, "-B", folder / "build", *options)
    absent = re.search(r"(onnxruntime_cxx_api\.h|libonnxruntime) is missing", configured.stderr)
    if absent:
        pytest.skip(f"{absent[0]}; install libonnxruntime-dev, or set CMAKE_PREFIX_PATH")
    assert configured.returncode == 0, configured.stderr
    built = cmake("--build", folder / "build")
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "build" / "compare"


def cmake(*words):
    return subprocess.run(["cmake", *map(str, words)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("other", ["b.ppm", "small.ppm", "a.ppm"])
@pytest.mark.parametrize("rate", ["0.001", "0.1"])
def test_the_program_in_cpp_says_what_the_one_in_python_says(compiled, people, other, rate):
    words = [str(STANDARD), str(people / "a.ppm"), str(people / other)]
    ours = subprocess.run([compiled, *words, rate], capture_output=True, text=True, check=True).stdout.splitlines()
    theirs = start("compare.py", *words, "--false-match", rate).stdout.splitlines()
    assert ours[1:3] == theirs[1:3]
    for line, expected in ((ours[0], theirs[0]), (ours[3], theirs[3])):
        assert line.split()[0] == expected.split()[0]
        assert float(line.split()[1]) == pytest.approx(float(expected.split()[1]), abs=1e-4)


def test_the_shipped_files_carry_what_the_programs_read():
    for path in EMBEDDERS.values():
        metadata = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_modelmeta()
        crops = json.loads(metadata.custom_metadata_map["reidtrack.calibration"])["crops"]
        assert {rate for rate, *_ in crops["points"]} >= {0.1, 0.01, 0.001}


def test_nothing_in_the_folder_is_untested():
    names = {path.name for path in EDGE.iterdir() if path.name != "__pycache__"}
    assert names == {"edge.py", "compare.py", "streams.py", "compare.cpp", "CMakeLists.txt", "README.md"}
