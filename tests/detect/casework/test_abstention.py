"""Abstention for what a detector has never seen, whatever the clip statistics say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dancebench.datasets.corpora.manifest import PictureKind
from dancebench.detect.casework.score import score_video
from dancebench.detect.inputs.video_set import VideoSet
from dancebench.detect.protocol.card import load_detector

if TYPE_CHECKING:
    from dancebench.detect.protocol.holdout import HoldoutResult


@pytest.mark.parametrize(
    ("pictures", "reason"),
    [
        (("drawn",), "the detector says nothing of camera footage: it has only ever seen drawn people"),
        ((), "the card of the detector does not say whether it has ever seen camera footage"),
        (("camera", "drawn"), None),
        (("camera",), None),
    ],
)
def test_who_has_never_seen_camera_footage_abstains(
    result: HoldoutResult, videos: VideoSet, pictures: tuple[PictureKind, ...], reason: str | None
) -> None:
    """Of a video that is not out of distribution by its statistics: one that it was trained on."""
    loaded = load_detector(result.folder)
    loaded = replace(loaded, card=loaded.card.model_copy(update={"pictures": pictures}))
    found = score_video(videos.path(videos.rows[0]), loaded).record
    assert found.llr is not None
    assert found.out_of_distribution is not None
    assert not found.out_of_distribution.outside
    assert found.abstained_because == (() if reason is None else (reason,))
    assert found.status == ("ok" if reason is None else "abstained")


def test_a_card_of_other_features_abstains_and_says_why(result: HoldoutResult, videos: VideoSet) -> None:
    loaded = load_detector(result.folder)
    loaded = replace(loaded, card=loaded.card.model_copy(update={"training_domain": None}))
    found = score_video(videos.path(videos.rows[0]), loaded).record
    assert found.llr is not None
    assert found.out_of_distribution is None
    (reason,) = found.abstained_because
    assert "its card is of an earlier release" in reason
