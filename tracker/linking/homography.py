"""Cameras that see one ground plane: where a point of a picture is on the ground, and what a pixel is worth there.

Two pictures of a plane differ by a homography (Hartley and Zisserman, Multiple View Geometry, 2nd edition, chapter 2).
The file that says which, one entry a camera, either the matrix or at least four points that were measured::

    {"cameras": {"gate": {"homography": [[a, b, c], [d, e, f], [g, h, i]]},
                 "hall": {"points": [[x, y, X, Y], ...]}}}

x, y are pixels of the recording as it is shown, from its upper left corner; X, Y are metres on the ground, the same
axes for all cameras. The matrix takes (x, y, 1) to (X, Y, 1) times any factor.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from reid.errors import DataError

Doubles = npt.NDArray[np.float64]
Homographies = Mapping[str, Sequence[Sequence[float]]]  # 3x3 by camera

LEAST_POINTS = 4
LINE = 0.01  # width over length from which on points are not on a line


def read_homographies(path: Path) -> dict[str, list[list[float]]]:
    """Read a calibration file.

    Returns:
        3x3 by camera.

    Raises:
        DataError: the file cannot be read, or an entry determines no homography.
    """
    try:
        cameras = json.loads(path.read_text(encoding="utf-8"))["cameras"]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); --calibration takes a JSON file") from None
    except (ValueError, KeyError, TypeError):
        cameras = None
    if not isinstance(cameras, dict) or not cameras:
        raise DataError(f'{path}: not a calibration; it is {{"cameras": {{NAME: {{"homography": 3x3}}, ...}}}} in JSON')
    return {name: _homography(f"{path}: camera {name!r}", entry).tolist() for name, entry in cameras.items()}


def _homography(where: str, entry: Any) -> Doubles:
    if not isinstance(entry, dict) or len(entry) != 1 or not set(entry) <= {"homography", "points"}:
        raise DataError(f'{where} needs either "homography" or "points", and nothing else')
    if "points" in entry:
        return _from_points(where, _numbers(entry["points"]))
    matrix = _numbers(entry["homography"])
    if matrix is None or matrix.shape != (3, 3):
        raise DataError(f"{where}: its homography is not 3 rows of 3 numbers")
    if np.linalg.matrix_rank(matrix) < 3:
        raise DataError(f"{where}: its homography is singular, it takes the ground to a line; measure it again")
    return matrix


def _numbers(values: Any) -> Doubles | None:
    try:
        array = np.array(values, np.float64)
    except (ValueError, TypeError):
        return None
    return array if np.isfinite(array).all() else None


def _from_points(where: str, points: Doubles | None) -> Doubles:
    if points is None or points.ndim != 2 or points.shape[1] != 4:
        raise DataError(f"{where}: its points are not rows of four numbers, x, y in the picture and X, Y on the ground")
    if len(points) < LEAST_POINTS:
        raise DataError(f"{where}: {len(points)} points determine no homography; give at least {LEAST_POINTS}")
    if _on_a_line(points[:, :2]) or _on_a_line(points[:, 2:]):
        raise DataError(f"{where}: its points, all or all but one, lie on a line; spread them over the ground")
    centre = points.mean(0)
    found, _ = cv2.findHomography(points[:, :2] - centre[:2], points[:, 2:] - centre[2:])
    if found is None:
        raise DataError(f"{where}: its points determine no homography; measure them again")
    matrix: Doubles = _shift(centre[2:]) @ found @ _shift(-centre[:2])
    depth = points[:, :2] @ matrix[2, :2] + matrix[2, 2]
    if np.linalg.matrix_rank(matrix) < 3 or len(set(np.sign(depth))) > 1:
        raise DataError(f"{where}: no camera sees its points so; check that each x, y is beside its own X, Y")
    return matrix


def _shift(by: Doubles) -> Doubles:
    return np.array([[1, 0, by[0]], [0, 1, by[1]], [0, 0, 1]])


def _on_a_line(points: Doubles) -> bool:
    """Whether all of (n, 2) points, or all but one, lie on a line: then they leave a homography open."""
    for left_out in range(len(points)):
        rest = np.delete(points, left_out, 0)
        length, width = np.linalg.svd(rest - rest.mean(0), compute_uv=False)
        if width <= LINE * length:
            return True
    return False


def on_ground(homography: Doubles, points: Doubles) -> tuple[Doubles, Doubles, npt.NDArray[np.bool_]]:
    """Where points of one camera's picture are on the ground.

    A homography does not say on which side of the horizon the ground is; that is where most of the points are.

    Args:
        homography: (3, 3).
        points: (n, 2) pixels.

    Returns:
        (n, 2) metres, (n, 2, 2) metres a pixel (the Jacobian), and (n,) whether a point is on the ground at all; where
        not, the others say nothing.
    """
    x, y, depth = homography @ np.vstack([points.T, np.ones(len(points))])
    sound = depth * np.sign(np.median(depth)) > 0 if len(points) else np.zeros(0, np.bool_)
    depth = np.where(sound, depth, 1)
    place = np.stack([x, y], 1) / depth[:, None]
    jacobian = (homography[:2, :2] - place[:, :, None] * homography[2, :2]) / depth[:, None, None]
    return place, jacobian, sound
