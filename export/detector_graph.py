"""The graph of a detector that takes a picture and gives people: what is put before and behind a YOLO.

Before it, the picture is scaled, to whole levels of brightness, and padded to multiples of 32 as ultralytics' LetterBox
does it; behind it, the class of people is chosen where it is an anchor's best, and of boxes that overlap the best stays
(non-maximum suppression).
"""

import ast
from collections.abc import Mapping
from string import Template

import onnx
from onnx import compose

from reid.errors import ModelError

INPUT, OUTPUTS = "picture", ("boxes", "scores")
STRIDE = 32  # of the coarsest feature map of every YOLO
MOST = 300  # people in a picture
_PEOPLE = ("person", "people", "pedestrian")

_BEFORE = Template("""<ir_version: $ir, opset_import: ["" : $opset]>
letterbox (uint8[h, w, 3] picture) => (float[1, 3, a, b] images, float[2] extent, float[1] ratio, int64[2] corner)
<float[2] longest = {$size, $size}, int64[2] square = {$size, $size}, int64[1] stride = {$stride}, int64[1] first = {0},
 int64[2] head = {1, 3}, int64[2] none = {0, 0}, float one = {1}, float two = {2}, float tenth = {0.1},
 float half = {0.5}, float grey = {114}, float white = {255}>
{
    shape = Shape <end = 2> (picture)
    extent = Cast <to = 1> (shape)
    ratios = Div (longest, extent)
    ratio = ReduceMin (ratios)
    scaled = Mul (extent, ratio)
    whole = Round (scaled)
    least = Max (whole, one)
    inner = Cast <to = 7> (least)
    sizes = Concat <axis = 0> (head, inner)
    planes = Transpose <perm = [2, 0, 1]> (picture)
    colours = Cast <to = 1> (planes)
    batch = Unsqueeze (colours, first)
    resized = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (batch, , , sizes)
    raised = Add (resized, half)
    levels = Floor (raised)
    room = Sub (square, inner)
    spare = Mod (room, stride)
    spares = Cast <to = 1> (spare)
    margin = Div (spares, two)
    less = Sub (margin, tenth)
    more = Add (margin, tenth)
    before = Round (less)
    behind = Round (more)
    corner = Cast <to = 7> (before)
    far = Cast <to = 7> (behind)
    pads = Concat <axis = 0> (none, corner, none, far)
    padded = Pad (levels, pads, grey)
    images = Div (padded, white)
}""")

_AFTER = Template("""<ir_version: $ir, opset_import: ["" : $opset]>
people (float[1, c, n] raw, float[2] size, float[1] gain, int64[2] origin) => (float[m, 4] boxes, float[m] scores)
<int64[2] parts = {4, $classes}, int64[1] person = {$person}, int64[1] only = {0}, int64[1] second = {1},
 int64[2] outer = {0, 1}, int64 last = {2}, int64[2] halves = {2, 2}, int64[4] across = {1, 0, 1, 0},
 int64[1] most = {$most}, float[1] overlap = {$overlap}, float[1] confidence = {$confidence},
 float zero = {0}, float twice = {2}>
{
    shapes, classes = Split <axis = 1> (raw, parts)
    best = ReduceMax <keepdims = 1> (classes, second)
    likely = Gather <axis = 1> (classes, person)
    foremost = GreaterOrEqual (likely, best)
    sure = Where (foremost, likely, zero)
    centred = Transpose <perm = [0, 2, 1]> (shapes)
    kept = NonMaxSuppression <center_point_box = 1> (centred, sure, most, overlap, confidence)
    which = Gather <axis = 1> (kept, last)
    flat = Squeeze (centred, only)
    found = Gather <axis = 0> (flat, which)
    middle, span = Split <axis = 1> (found, halves)
    reach = Div (span, twice)
    low = Sub (middle, reach)
    high = Add (middle, reach)
    both = Concat <axis = 1> (low, high)
    margins = Gather <axis = 0> (origin, across)
    shift = Cast <to = 1> (margins)
    moved = Sub (both, shift)
    pixels = Div (moved, gain)
    positive = Max (pixels, zero)
    bounds = Gather <axis = 0> (size, across)
    boxes = Min (positive, bounds)
    line = Squeeze (sure, outer)
    scores = Gather <axis = 0> (line, which)
}""")


def whole_graph(network: onnx.ModelProto, source: str, size: int, confidence: float, overlap: float) -> onnx.ModelProto:
    """Put the letterbox before a network and the choice of boxes behind it.

    Args:
        network: as ultralytics exports it: ``images`` (1, 3, a, b) float32 of 0..1 to (1, 4 + classes, n) float32,
            centre, width and height in pixels and a score for each class; ``names`` in its metadata.
        source: what a message calls it.
        size, confidence, overlap: as for ``export.detector.export_detector``.

    Raises:
        ModelError: it is another kind of network, or has no class of people.
    """
    names = class_names(network, source)
    (given,) = network.graph.output
    rank = [dimension.dim_value for dimension in given.type.tensor_type.shape.dim]
    if len(rank) != 3 or rank[1] != 4 + len(names):
        raise ModelError(f"{source}: gives {rank}, not a box and {len(names)} scores an anchor; give a detection model")
    values = {"ir": network.ir_version, "opset": network.opset_import[0].version, "size": size, "stride": STRIDE}
    values |= {"classes": len(names), "person": person_class(names, source), "most": MOST}
    values |= {"confidence": float(confidence), "overlap": float(overlap)}
    before, after = (onnx.parser.parse_model(text.substitute(values)) for text in (_BEFORE, _AFTER))
    inside = compose.add_prefix(network, "network/")
    whole = compose.merge_models(before, inside, [("images", inside.graph.input[0].name)])
    ends = [(inside.graph.output[0].name, "raw"), ("extent", "size"), ("ratio", "gain"), ("corner", "origin")]
    return compose.merge_models(whole, after, ends)


def class_names(network: onnx.ModelProto, source: str) -> dict[int, str]:
    """The classes, which ultralytics writes as a dictionary's text."""
    text = next((entry.value for entry in network.metadata_props if entry.key == "names"), "")
    try:
        return {int(number): str(name) for number, name in ast.literal_eval(text).items()}
    except (ValueError, SyntaxError, AttributeError, TypeError):
        raise ModelError(f"{source}: does not name its classes; give an ultralytics detection model") from None


def person_class(names: Mapping[int, str], source: str) -> int:
    """The number of the class that is people.

    Raises:
        ModelError: there is none.
    """
    people = [number for number, name in names.items() if name.lower() in _PEOPLE]
    if people or len(names) == 1:
        return people[0] if people else next(iter(names))
    raise ModelError(f"{source}: detects {', '.join(list(names.values())[:5])}, ... but no person class")
