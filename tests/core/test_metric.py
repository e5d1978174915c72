"""Keys of metrics: parsed and written in one place, as records hold them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.metric import Condition, MetricKey

NAMES = st.text(st.characters(exclude_characters="@"), min_size=1).filter(
    lambda name: not name.startswith(("video_", "pair_"))
)
CONDITIONS = st.builds(Condition, st.text(st.characters(exclude_characters="=")), st.text())


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("video_auc@perturbation=crf40", MetricKey("auc", "video", Condition("perturbation", "crf40"))),
        ("pair_accuracy@source=same", MetricKey("accuracy", "pair", Condition("source", "same"))),
        ("length_shift@rule=mean-logit", MetricKey("length_shift", None, Condition("rule", "mean-logit"))),
        ("video_auc", MetricKey("auc", "video")),
        ("body_ssim", MetricKey("body_ssim")),
        ("fpr@method=a=b@c", MetricKey("fpr", None, Condition("method", "a=b@c"))),
        ("mean@home", MetricKey("mean@home")),
    ],
)
def test_closed_form(text: str, key: MetricKey) -> None:
    assert MetricKey.parse(text) == key
    assert str(key) == text


def test_closed_form_under_a_condition() -> None:
    key = MetricKey.parse("video_auc").under("source", "same")
    assert str(key) == "video_auc@source=same"
    assert str(key.under("method", "fbf")) == "video_auc@method=fbf"


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert str(MetricKey.parse(text)) == text


@given(NAMES, st.sampled_from([None, "video", "pair"]), st.none() | CONDITIONS)
def test_any_key_comes_back(name: str, level: str | None, condition: Condition | None) -> None:
    key = MetricKey(name, level, condition)  # type: ignore[arg-type]
    assert MetricKey.parse(str(key)) == key
