"""Person masks of the extractors, against what was drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from dancebench.core.errors import BenchError
from dancebench.datasets.dancers.body import HEIGHT, WIDTH, build_skeleton
from dancebench.datasets.dancers.choreography import Choreography
from dancebench.datasets.dancers.dancer import dance, make_dancer
from dancebench.datasets.dancers.figure import Figure
from dancebench.datasets.dancers.paint import Canvas
from dancebench.datasets.pose.extractors.base import EXTRACTORS, PoseExtractor

SEED, COUNT, FPS = 101, 4, 5.0


@pytest.fixture(params=["holistic", "tasks"])
def extractor(request: pytest.FixtureRequest) -> PoseExtractor:
    """Each extractor that finds masks, or a skip with the reason."""
    found = EXTRACTORS[request.param]
    reason = found.explain_absence()
    if reason is not None:
        pytest.skip(reason)
    try:
        found.model_hashes()
    except BenchError as error:
        pytest.skip(error.message)
    return found()


def drawn_masks() -> list[npt.NDArray[np.bool_]]:
    """Where the figure covers whatever is behind it: it looks the same before black and before white."""
    dancer = make_dancer(SEED)
    choreography = Choreography(dancer.style, SEED)
    masks = []
    for index in range(COUNT):
        posed = build_skeleton(dancer.body, dancer.camera, choreography.pose(index / FPS))
        pictures = []
        for level in (0.0, 255.0):
            canvas = Canvas(np.full((HEIGHT, WIDTH, 3), level, np.float32))
            Figure(dancer.body, dancer.look, np.random.default_rng([SEED, 2])).paint(canvas, dancer.camera, posed)
            pictures.append(canvas.pixels.copy())
        masks.append(np.abs(pictures[0] - pictures[1]).max(axis=-1) < 128)
    return masks


def test_foreign_reference_masks_are_the_drawn_figure(extractor: PoseExtractor) -> None:
    frames = [frame for frame, _ in dance(make_dancer(SEED), COUNT, FPS)]
    masks = list(extractor.segment(frames))
    assert len(masks) == COUNT
    for mask, drawn in zip(masks, drawn_masks(), strict=True):
        assert mask.shape == drawn.shape
        assert mask.dtype == np.bool_
        assert (mask & drawn).sum() / (mask | drawn).sum() > 0.85


def test_an_empty_picture_has_an_empty_mask(extractor: PoseExtractor) -> None:
    (mask,) = extractor.segment([np.full((128, 96, 3), 90, np.uint8)])
    assert mask.shape == (128, 96)
    assert not mask.any()
