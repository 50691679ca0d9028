"""What several tests make: an embedder file that needs no training, folders of coloured people, tracklets."""

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper

from reid.calibration import Calibration, Curve
from reid.embed import Card
from tracker.types import Crop, Tracklet, TrackletKey

CALIBRATION = Calibration(Curve(10.0, -5.0), Curve(8.0, -3.0))
CARD = Card("colour", (8, 4), "nothing", "free", 1, "0" * 64, {"colours": (0.5, 0.75)}, CALIBRATION)


def colour_embedder(path, card=CARD, metadata=None, names=("crops", "vectors"), kind=TensorProto.UINT8):
    """A file that follows the embedder's contract; its vector is the crop's mean colour, of unit norm."""
    taken, given = names
    nodes = [
        helper.make_node("Cast", [taken], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "space"], ["colour"], keepdims=0),
        helper.make_node("Add", ["colour", "one"], ["raised"]),  # black has a direction too
        helper.make_node("ReduceL2", ["raised", "channels"], ["norm"], keepdims=1),
        helper.make_node("Div", ["raised", "norm"], [given]),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info(taken, kind, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info(given, TensorProto.FLOAT, ["n", 3])],
        [
            helper.make_tensor("space", TensorProto.INT64, [2], [1, 2]),
            helper.make_tensor("channels", TensorProto.INT64, [1], [1]),
            helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, card.to_metadata() if metadata is None else metadata)
    onnx.save(model, path)
    return path


def write_image(path: Path, rgb, size=(32, 16), seed=0):
    """One picture of nearly one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-20, 21, (*size, 3))
    image = np.clip(np.array(rgb) + noise, 0, 255).astype(np.uint8)
    assert cv2.imwrite(str(path), image[:, :, ::-1])


COLOURS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40)]


def market_folder(folder: Path, images=4):
    """Market-1501's layout with four people, each a colour; query in camera 1, gallery in camera 2."""
    for person, colour in enumerate(COLOURS, 1):
        for number in range(images):
            name = f"{person:04}_c{number % 2 + 1}s1_{number:06}_00.png"
            write_image(folder / "bounding_box_train" / name, colour, seed=number)
        write_image(folder / "query" / f"{person:04}_c1s1_000001_00.png", colour, seed=50)
        write_image(folder / "bounding_box_test" / f"{person:04}_c2s1_000001_00.png", colour, seed=60)
    write_image(folder / "bounding_box_test" / "0000_c3s1_000001_00.png", (120, 120, 120))
    write_image(folder / "bounding_box_test" / "-1_c3s1_000002_00.png", COLOURS[0])
    return folder


def tracklet(key, start=0.0, end=1.0, camera="", boxes=5, crops=2, seed=0):
    """A tracklet of plausible content; ``key`` is (recording, number), the camera is the recording unless given."""
    rng = np.random.default_rng(seed)
    index = np.sort(rng.choice(np.arange(1, boxes * 3), boxes, replace=False)).astype(np.int64)
    low = rng.uniform(0, 50, (boxes, 2))
    xyxy = np.hstack([low, low + rng.uniform(5, 50, (boxes, 2))]).astype(np.float32)
    pictures = tuple(
        Crop(int(at), float(np.float32(rng.random())), rng.bytes(30))
        for at in np.sort(rng.choice(index, min(crops, boxes), replace=False))
    )
    return Tracklet(
        TrackletKey(*key),
        camera or key[0],
        index,
        np.linspace(start, end, boxes),
        xyxy,
        rng.random(boxes).astype(np.float32),
        pictures,
    )


def same_tracklet(a, b):
    """Whether two tracklets agree in everything, arrays' types included."""
    arrays = ("index", "time_s", "xyxy", "score")
    return (
        (a.key, a.camera, a.crops) == (b.key, b.camera, b.crops)
        and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays)
        and all(getattr(a, name).dtype == getattr(b, name).dtype for name in arrays)
    )
