"""Views by name and size, and the boxes that are cut out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError, UnknownNameError
from dancebench.datasets.pose.box import Box
from dancebench.detect.detectors.base import DetectorConfig
from dancebench.detect.inputs.view import MARGIN, View, ViewRequest, fit_box, parse_view


def test_a_view_is_read_with_and_without_its_size() -> None:
    assert parse_view("face") == ViewRequest("face")
    assert parse_view("person:256x128") == ViewRequest("person", (256, 128))
    assert str(View("person", 256, 128)) == "person:256x128"
    assert View("person", 256, 128).aspect == 0.5


@pytest.mark.parametrize("text", ["", "face:", "face:224", "face:224x", "face:224x224x3", "FACE", "face 224x224"])
def test_what_is_no_view_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BenchError) as caught:
        parse_view(text)
    assert caught.value.hint


@pytest.mark.parametrize("size", ["0x224", "225x224", "224x31", "16x16", "99998x224"])
def test_sizes_that_no_clip_has_are_refused(size: str) -> None:
    with pytest.raises(BenchError, match="cannot have"):
        parse_view(f"face:{size}")


def test_an_unknown_view_names_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match="faces"):
        parse_view("faces:224x224")


# --- closed form


def test_a_box_grows_by_the_margin_to_the_shape_of_the_view() -> None:
    assert fit_box(Box(100.0, 200.0, 100.0, 200.0), 1.0, (1000, 1000)) == Box(85, 215, 85, 215)
    assert fit_box(Box(100.0, 300.0, 100.0, 140.0), 0.5, (1000, 1000)) == Box(70, 330, 55, 185)
    assert fit_box(Box(0.0, 100.0, 0.0, 100.0), 1.0, (1000, 1000)) == Box(0, 130, 0, 130)  # shifted inwards, not cut
    assert fit_box(Box(0.0, 100.0, 0.0, 100.0), 1.0, (90, 80)) == Box(0, 90, 0, 80)  # the whole picture at most


@given(st.tuples(*[st.floats(0, 500)] * 4), st.floats(0.25, 4), st.tuples(st.integers(1, 600), st.integers(1, 600)))
def test_a_fitted_box_lies_in_the_picture(
    edges: tuple[float, float, float, float], aspect: float, size: tuple[int, int]
) -> None:
    top, height, left, width = edges
    box = fit_box(Box(top, top + height, left, left + width), aspect, size)
    assert box.clip(size) == box
    assert box.height >= 1
    assert box.width >= 1


@given(st.floats(8, 300), st.floats(8, 300), st.floats(0.25, 4))  # so that the margin is more than a pixel
def test_a_fitted_box_holds_what_was_found(height: float, width: float, aspect: float) -> None:
    found = Box(2000 - height / 2, 2000 + height / 2, 2000 - width / 2, 2000 + width / 2)
    box = fit_box(found, aspect, (4000, 4000))
    assert box.top <= found.top
    assert box.bottom >= found.bottom
    assert box.height >= MARGIN * height
    assert box.width / box.height == pytest.approx(aspect, rel=0.5, abs=2)


# --- configurations


class FaceConfig(DetectorConfig):
    """Of a detector that looks at faces unless told otherwise."""

    view: str = "face"  # type: ignore[assignment]


def test_a_configuration_tells_its_view_unless_it_is_the_frame_as_it_always_was() -> None:
    assert "view" not in DetectorConfig().model_dump()
    assert "view" not in DetectorConfig(view="frame").model_dump(mode="json")
    assert DetectorConfig(view="face").model_dump()["view"] == "face"
    assert FaceConfig(view="frame").model_dump()["view"] == "frame"  # else it would be read as a face
    for config in (DetectorConfig(view="person"), FaceConfig(), FaceConfig(view="frame")):
        assert type(config).model_validate(config.model_dump()) == config
    assert "pairs" not in DetectorConfig(view="face").model_dump(exclude={"pairs"})


def test_a_view_has_the_size_of_its_configuration() -> None:
    assert DetectorConfig(height=256, width=128, view="person").looks_at == View("person", 256, 128)
