"""What an import keeps beside a clip: the supplied pose maps and face bounding boxes.

labels/000000.png …   one per frame, letterboxed to the clip's size, lossless
face_boxes.npz        float32 [T, 4] in clip pixels: top, bottom, left, right; NaN = none
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from dancebench.core.errors import BenchError
from dancebench.core.files import read_array, read_bytes, sha256_file, sha256_json, write_arrays
from dancebench.core.opencv import cv2
from dancebench.datasets.pose.box import Box
from dancebench.datasets.video.frames import Letterbox
from dancebench.datasets.video.picture_size import check_image
from dancebench.datasets.video.upright import Frame

LABELS = "labels"
FACE_BOXES = "face_boxes.npz"

FaceBoxes = npt.NDArray[np.float32]
"""float32 [T, 4]: top, bottom, left, right edge in clip pixels; NaN = none."""


def label_path(folder: Path, t: int) -> Path:
    """Where frame `t`'s pose map lies in a subject's folder."""
    return folder / LABELS / f"{t:06d}.png"


def write_label(folder: Path, t: int, picture: Frame) -> None:
    """Write frame `t`'s pose map, uint8 RGB (H, W, 3), into a folder that is not yet in its final place."""
    path = label_path(folder, t)
    path.parent.mkdir(exist_ok=True)
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    path.write_bytes(encoded.tobytes())


def read_label(folder: Path, t: int) -> Frame:
    """Frame `t`'s pose map: uint8 RGB (H, W, 3).

    Raises:
        BenchError: It is missing, damaged, or too large to be read.
    """
    path = label_path(folder, t)
    data = read_bytes(path) if path.exists() else b""
    if data:
        check_image(path, data)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if pixels is None:
        raise BenchError(f"{path} is missing or damaged.", hint="Remove the subject's folder and import it again.")
    return np.ascontiguousarray(pixels[..., ::-1])


def labels_sha256(folder: Path) -> str:
    """Hash over all files in the folder of pose maps, by name and content."""
    return sha256_json([[path.name, sha256_file(path)] for path in sorted((folder / LABELS).iterdir())])


def to_clip_box(box: Box[float] | None, letterbox: Letterbox) -> Box[float]:
    """A bounding box in the clip's pixels; NaN for none."""
    if box is None:
        return Box(np.nan, np.nan, np.nan, np.nan)
    corners = np.array([[box.left, box.top], [box.right, box.bottom]])
    (left, top), (right, bottom) = (letterbox.map_points(corners - 0.5) + 0.5).tolist()  # edges lie between centres
    return Box(top, bottom, left, right)


def write_face_boxes(path: Path, boxes: FaceBoxes) -> None:
    """Write boxes float32 [T, 4] atomically."""
    write_arrays(path, boxes=boxes.astype(np.float32))


def read_face_boxes(path: Path) -> FaceBoxes:
    """Read what `write_face_boxes` wrote; nothing is unpickled."""
    return read_array(path, "boxes", (4,))
