"""The case page: its wording and charts; it is complete, self-contained and safe for any file name."""

import base64
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outside_files import make_calibration

from dancebench.benchmark.casework import page as case_page
from dancebench.benchmark.casework.page import draw_scale, draw_timeline, overlay_saliency, render_page, write_case_page
from dancebench.benchmark.casework.words import (
    ENFSI,
    FEATURES,
    describe_error_rates,
    describe_file,
    describe_finding,
    describe_times,
    format_signed,
    name_support,
)
from dancebench.core.errors import BenchError, escape_unprintable
from dancebench.detect.casework.content_credentials import Credentials
from dancebench.detect.casework.ratio import CalibrationFacts, ScoreInterval
from dancebench.detect.casework.score import (
    PairScore,
    ScoredVideo,
    ScoreReport,
    ScoreSettings,
    VideoScore,
)
from dancebench.detect.casework.suspicious_pairs import SuspiciousPair, SuspiciousPairImage
from dancebench.detect.evaluation.likelihood_ratios.bounds import Bound, bound_by_people
from dancebench.detect.evaluation.likelihood_ratios.measures import LabelledRatios, collect_figures
from dancebench.detect.evaluation.metrics import ErrorRates
from dancebench.detect.evaluation.training_domain import FeatureDeviation, OutOfDistribution
from dancebench.detect.trunk.features import STAGES

FACTS = CalibrationFacts(
    temperature=2.0, offset=-0.4, subjects=99, methods=("gan", "warp"), unseen_methods=("gan", "warp"), separable=False,
    caution=None,
)  # fmt: skip
VOID = {"meta", "img", "br"}
HOSTILE = "<script>alert(1)<!-- \" onload='x' \u202e4pm.exe"
FRAME = np.random.default_rng(0).integers(0, 256, (32, 16, 3), dtype=np.uint8)
SALIENCY = np.linspace(0, 1, 32 * 16, dtype=np.float32).reshape(32, 16)


def make_score(**changes: Any) -> VideoScore:
    """Make a scored video; 99 validation people allow likelihood ratios up to 100."""
    llrs = np.log(50) + np.sin(np.arange(20))
    fields: dict[str, Any] = {
        "path": "evidence/clip.mp4",
        "sha256": "9f" * 32,
        "bytes": 1834211,
        "status": "ok",
        "container": "mov,mp4",
        "codec": "h264",
        "width": 720,
        "height": 1280,
        "fps": 25.0,
        "n_frames": 250,
        "duration_s": 10.0,
        "score": 8.0,
        "llr": math.log(50),
        "llr_interval": ScoreInterval(low=math.log(20), high=math.log(200), method="block jackknife"),
        "aggregator": "mean-logit",
        "threshold": 0.5,
        "above_threshold": True,
        "error_rates": ErrorRates(false_positive_rate=0.1, n_real=10, false_negative_rate=None, n_fake=0),
        "calibration": FACTS,
        "bounds": bound_by_people(99, 99),
        "out_of_distribution": OutOfDistribution(
            distance=0.9,
            limit=1.6,
            outside=False,
            furthest=(FeatureDeviation(feature="fine texture", value=3.2, typical=1.1, deviations=1.4),),
        ),
        "n_pairs": 20,
        "pairs": tuple(
            PairScore(t=0.5 * index, pts=None, logit=2 * llr, llr=llr) for index, llr in enumerate(llrs.tolist())
        ),
        "suspicious_pairs": (SuspiciousPair(t=1.0, llr=4.8), SuspiciousPair(t=7.0, llr=4.5)),
        "credentials": Credentials(status="absent"),
    }
    return VideoScore(**(fields | changes))


def make_failed_score() -> VideoScore:
    absent = dict.fromkeys(
        ("score", "llr", "llr_interval", "above_threshold", "out_of_distribution", "credentials", "width")
    )
    return make_score(status="failed", reason="no moov atom", pairs=(), suspicious_pairs=(), n_pairs=0, **absent)


def make_report(record: VideoScore) -> ScoreReport:
    return ScoreReport(
        dancebench="0.1.0",
        git_sha="42286df",
        dirty=True,
        versions={"torch": "2.13.0"},
        detector="timm:resnet18",
        weights_sha256="ab" * 32,
        card_sha256="cd" * 32,
        settings=ScoreSettings(),
        device="cpu",
        dataset="demo",
        created="2026-01-02T03:04:05+00:00",
        videos=(record,),
    )


def render(record: VideoScore, saliency: Any = SALIENCY) -> str:
    pictures = [SuspiciousPairImage(pair.t, pair.llr, FRAME, saliency) for pair in record.suspicious_pairs]
    return render_page(ScoredVideo(record, pictures), make_report(record))


class Reader(HTMLParser):
    """Tags with their attributes, the visible text, and a refusal of unbalanced markup."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def read_words(record: VideoScore, saliency: Any = SALIENCY) -> str:
    return Reader(render(record, saliency)).words


# ---------------------------------------------------------------- words, closed form


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (1.0, "no support"),
        (1.9, "no support"),
        (2.1, "weak support"),
        (9.9, "weak support"),
        (10.1, "moderate support"),
        (101, "moderately strong support"),
        (1001, "strong support"),
        (10_001, "very strong support"),
        (999_999, "very strong support"),
        (1_000_001, "extremely strong support"),
    ],
)
def test_the_words_are_those_of_enfsi_2015(ratio: float, expected: str) -> None:
    favoured = None if expected == "no support" else "synthesized"
    assert name_support(math.log(ratio)) == (expected, favoured)
    assert name_support(-math.log(ratio)) == (expected, favoured and "real")


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(1.04, "about 1.0"), (3.44, "about 3.4"), (9.96, "about 10"), (49.3, "about 49"), (1234, "about 1,200")],
)
def test_ratios_are_given_to_two_digits(ratio: float, expected: str) -> None:
    assert describe_times(math.log(ratio)) == describe_times(-math.log(ratio)) == expected


def test_a_huge_ratio_is_not_given_in_digits() -> None:
    assert describe_times(5000.0) == describe_times(math.log(999_900)) == "more than a million"


def test_numbers_and_names_are_printed_plainly() -> None:
    assert [format_signed(value) for value in (1.234, -1.234, -0.001, 0.0)] == ["+1.23", "−1.23", "0.00", "0.00"]
    assert escape_unprintable("a\u202eb\nc é") == "a\\u202eb\\nc é"


def test_error_rates_are_counts() -> None:
    real, fake = describe_error_rates(make_score())
    assert real == "1 of 10 real videos (10%) scored above it"
    assert fake == "there was no synthesized video"


@given(st.floats(-2000, 2000), st.integers(1, 500))
def test_support_is_limited_by_the_number_of_calibration_people(score: float, people: int) -> None:
    """Because the calibration bounds the likelihood ratio."""
    calibration = make_calibration(temperature=1, offset=0, subjects=people)
    bound = calibration.bounds.find_holding(score)
    found = describe_finding(make_score(llr=float(calibration.llr(score)), bound=bound))
    assert found is not None
    order = ["no support", *(name for _, name in ENFSI)]
    assert order.index(found.words) <= order.index(name_support(math.log(people + 1))[0])
    assert (found.bound is not None) == (abs(score) >= math.log(people + 1))
    assert found.favoured in (None, "synthesized" if score > 0 else "real")


def test_every_feature_has_plain_words() -> None:
    assert set(FEATURES) == set(STAGES)
    (feature,) = make_score().out_of_distribution.furthest
    assert FEATURES[feature.feature] in read_words(make_score())


# ---------------------------------------------------------------- charts


def test_the_scale_is_symmetric() -> None:
    chart = draw_scale(make_score(llr=-math.log(50), llr_interval=None))
    assert chart.low is chart.high is None
    other = draw_scale(make_score(llr=math.log(50), llr_interval=None))
    assert chart.zero - chart.value == pytest.approx(other.value - chart.zero, abs=0.2)
    assert chart.reach[1] == pytest.approx(other.zero + 290 * 2 / 3, abs=0.1)  # 99 people: log10 100, of 3


def test_the_timeline_uses_the_files_own_time() -> None:
    chart = draw_timeline(make_score())
    across = [x for x, _ in chart.dots]
    assert across == sorted(across)
    assert (across[0], across[-1]) == (78, 626)
    assert across[2] == chart.marks[0]  # the pair at 1 s, the first suspicious one
    assert all(20 <= y <= 204 for _, y in chart.dots)
    assert all(y < chart.zero for _, y in chart.dots)  # upwards = synthesized
    assert [tick.label for tick in chart.x_ticks] == ["0", "2", "4", "6", "8"]


@pytest.mark.parametrize(("start", "words"), [(3601.4, "3601.40 s (1:00:01)"), (-0.32, "0.32 s before its zero")])
def test_where_the_files_clock_stands_is_told(start: float, words: str) -> None:
    told = dict(describe_file(make_score(start_s=start)))
    assert told["clock"].endswith(f"the file's own clock stands at {words}")
    assert "clock" not in dict(describe_file(make_score(start_s=0.0)))
    assert "clock" not in dict(describe_file(make_score()))


@settings(max_examples=40)
@given(st.lists(st.floats(-30, 30), min_size=2, max_size=400))
def test_the_timeline_stays_within_the_chart(llrs: list[float]) -> None:
    pairs = tuple(PairScore(t=0.04 * index, pts=None, logit=llr, llr=llr) for index, llr in enumerate(llrs))
    chart = draw_timeline(make_score(pairs=pairs))
    assert len(chart.line.split()) == len(llrs)
    assert 20 <= chart.zero <= 204
    assert all(78 <= x <= 626 and 20 <= y <= 204 for x, y in chart.dots)


@settings(max_examples=40)
@given(st.lists(st.floats(0, 9.5), min_size=1, max_size=4))
def test_labels_of_suspicious_pairs_do_not_overlap(seconds: list[float]) -> None:
    labels = draw_timeline(make_score(suspicious_pairs=tuple(SuspiciousPair(t=t, llr=1.0) for t in seconds))).labels
    places = [label.at for label in labels]
    assert max(places) <= 632
    assert min(np.diff(places), default=14) >= 13.8
    assert sorted(label.label for label in labels) == [str(number + 1) for number in range(len(seconds))]


def test_saliency_lies_over_the_frame() -> None:
    clear = overlay_saliency(FRAME, np.zeros((32, 16), np.float32))
    np.testing.assert_array_equal(clear, FRAME)
    full = overlay_saliency(np.zeros_like(FRAME), np.ones((32, 16), np.float32))
    assert (full == full[0, 0]).all()
    red, green, blue = full[0, 0].tolist()
    assert red > 150  # inferno ends in a pale yellow
    assert green > 150
    assert blue < red


# ---------------------------------------------------------------- the page


def make_abstained_score() -> VideoScore:
    return make_score(status="abstained", abstained_because=("it is unlike the training", "1 frame a second"))


@pytest.mark.parametrize(
    "record", [make_score(), make_abstained_score(), make_failed_score(), make_score(llr=0.1, llr_interval=None)]
)
def test_the_page_is_complete_and_self_contained(record: VideoScore) -> None:
    text = render(record)
    assert text == render(record)
    read = Reader(text)
    names = {tag for tag, _ in read.tags}
    assert not names & {"script", "link", "iframe", "object", "form", "a"}
    for _, attributes in read.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert (value or "").startswith("data:image/png;base64,")
    assert not re.search(r"https?:|url\(|@import", text)
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)
    assert "None" not in read.text


def test_hostile_names_are_escaped() -> None:
    claims = Credentials(status="present", title=HOSTILE, signer=HOSTILE, actions=(HOSTILE,), validation="Valid")
    record = make_score(path=HOSTILE, decode_warnings=(HOSTILE,), credentials=claims)
    text = render(record)
    assert "script" not in {tag for tag, _ in Reader(text).tags}
    assert "<script" not in text
    assert "<!--" not in text
    assert "\u202e" not in text
    assert text.count("\\u202e4pm.exe") == 7  # title, heading, path, decode warnings, three claims


def test_the_finding_in_words() -> None:
    said = read_words(make_score())
    assert "provide moderate support for the proposition that the video is synthesized rather than real" in said
    assert "about 50 times more probable if the video is synthesized than if it is real" in said
    assert "+1.70 (95% confidence interval of the video +1.30 to +2.30: from moderate support for synth" in said
    assert "ized to moderately strong" in said
    assert "A score is not a verdict." in said
    assert "no posterior is given" in said
    assert "The raw score +8.000 lies above the threshold +0.500" in said
    assert "ENFSI" in said


def test_the_largest_ratio_of_its_calibration_is_named_as_such() -> None:
    facts = FACTS.model_copy(update={"separable": True, "caution": "over-confidence is possible"})
    bounds = bound_by_people(8, 8)
    said = read_words(make_score(llr=math.log(9), calibration=facts, bounds=bounds, bound=bounds.synthesized))
    assert "provide weak support" in said
    assert "That is the largest ratio that the 8 people of its calibration can support" in said
    assert "over-confidence is possible" in said


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        (Bound(llr=0.0, set_by="unseen-methods", n=0), "so nothing supports a real"),
        (Bound(llr=-1.5, set_by="unseen-methods", n=6), "synthesized videos of 6 methods allow"),
        (Bound(llr=2.0, set_by="elub", n=12), "ELUB"),
    ],
)
def test_the_bound_that_holds_is_named(bound: Bound, words: str) -> None:
    assert words in read_words(make_score(llr=bound.llr, bound=bound))


def test_propositions_are_of_any_method_and_absence_of_traces_is_no_evidence() -> None:
    said = read_words(make_score())
    assert "by any method, known to the detector or not" in said
    assert "Absence of traces is no evidence for a real" in said
    assert "methods that the detector had not seen: gan, warp" in said
    seen = FACTS.model_copy(update={"unseen_methods": ()})
    assert "are of methods that the detector had seen: gan, warp" in read_words(make_score(calibration=seen))
    untold = FACTS.model_copy(update={"methods": None, "unseen_methods": None})
    assert "should not be relied on" in read_words(make_score(calibration=untold))


def test_both_intervals_are_told() -> None:
    interval = ScoreInterval(low=0.0, high=math.log(1000), method="jackknife over 29 people and 6 methods")
    said = read_words(make_score(calibration_interval=interval))
    assert "With other people in the calibration, and for another method (95%): 0.00 to +3.00" in said
    assert "jackknife over 29 people and 6 methods" in said
    untold = read_words(make_score(calibration_interval_reason="one method"))
    assert "How far it would move with other people and methods in the calibration is not known: one method" in untold


def test_misleading_evidence_is_counted_with_its_people() -> None:
    labels, llrs = np.array([0, 0, 1, 1]), np.log([20.0, 0.5, 50.0, 0.2])
    figures = collect_figures(LabelledRatios(labels, llrs, np.array(["a", "b", "a", "b"])))
    report = make_report(make_score()).model_copy(update={"ratios": figures})
    said = Reader(render_page(ScoredVideo(make_score(), []), report)).words
    assert "How well such likelihood ratios held" in said
    assert "1 of 2 (1 of 2 people)" in said
    assert "Empirical cross-entropy" in said
    assert "How well such likelihood ratios held" not in read_words(make_score())


def test_support_for_neither() -> None:
    said = read_words(make_score(llr=-0.3, llr_interval=None, llr_interval_reason="3 pairs are too few"))
    assert "support neither proposition" in said
    assert "−0.13 without an interval of the video: 3 pairs are too few." in said


def test_abstention_is_stated_before_the_number() -> None:
    text = render(make_abstained_score())
    said = Reader(text).words
    assert said.index("The detector abstains.") < said.index("1 frame a second") < said.index("+1.70")
    assert text.index('class="box subdued"') < text.index("+1.70")
    assert "The detector abstains." not in read_words(make_score())


def test_a_failed_video_has_a_page_without_a_number() -> None:
    said = read_words(make_failed_score())
    assert "The video could not be scored. no moov atom" in said
    assert "times more probable" not in said
    assert "most support synthesized" not in said
    assert "9f" * 32 in said


def test_images_are_what_the_detector_saw() -> None:
    pictures = [attributes for tag, attributes in Reader(render(make_score())).tags if tag == "img"]
    assert len(pictures) == 4  # two suspicious pairs, plain and overlaid
    assert (pictures[0]["width"], pictures[0]["height"]) == ("128", "256")
    data = base64.b64decode((pictures[0]["src"] or "").partition(",")[2])
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(found, FRAME)


def test_suspicious_pairs_that_support_real_are_named() -> None:
    pairs = (SuspiciousPair(t=1.0, llr=-0.2), SuspiciousPair(t=7.0, llr=-0.4))
    assert "Here even they support real." in read_words(make_score(suspicious_pairs=pairs))
    assert "Here even they support real." not in read_words(make_score())
    assert "The pairs of frames that most support synthesized" in read_words(make_score())


def test_a_detector_without_saliency_maps() -> None:
    text = render(make_score(), saliency=None)
    assert len([tag for tag, _ in Reader(text).tags if tag == "img"]) == 2
    assert "cannot say where" in text
    assert "saliency map" not in text


def test_images_that_were_not_kept() -> None:
    record = make_score()
    assert "they are at 1.00 s, 7.00 s" in Reader(render_page(ScoredVideo(record), make_report(record))).words


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        (None, "They were not read."),
        (Credentials(status="absent"), "The file carries none."),
        (Credentials(status="not-checked", reason="c2pa-python is missing"), "not checked: c2pa-python is missing"),
        (Credentials(status="unreadable", reason="cut off"), "None could be read: cut off"),
        (Credentials(status="present", signer="Test signer", validation="Valid"), "signed by Test signer check Valid"),
    ],
)
def test_credentials_are_reported_beside_the_score(credentials: Credentials | None, expected: str) -> None:
    said = read_words(make_score(credentials=credentials))
    assert expected in said
    assert "They are no part of the score" in said
    assert (
        read_words(make_score(credentials=credentials)).split("Content credentials")[0]
        == read_words(make_score()).split("Content credentials")[0]
    )


def test_the_page_says_how_to_repeat_it() -> None:
    said = read_words(make_score())
    for fact in ("timm:resnet18", "ab" * 32, "cd" * 32, "42286df with changes", "torch 2.13.0", "2026-01-02T03:04:05"):
        assert fact in said
    assert "bench score --verify report.json" in said


# ---------------------------------------------------------------- the file


def test_the_file_holds_the_page(tmp_path: Path) -> None:
    record = make_score()
    write_case_page(tmp_path / "clip.html", ScoredVideo(record), make_report(record))
    assert (tmp_path / "clip.html").read_text(encoding="utf-8") == render_page(ScoredVideo(record), make_report(record))
    assert [path.name for path in tmp_path.iterdir()] == ["clip.html"]


def test_a_page_that_cannot_be_rendered_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.html"
    path.write_text("old")

    def fail(*_: Any) -> str:
        raise RuntimeError

    monkeypatch.setattr(case_page, "render_page", fail)
    with pytest.raises(RuntimeError):
        write_case_page(path, ScoredVideo(make_score()), make_report(make_score()))
    assert path.read_text() == "old"


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="file"):
        write_case_page(tmp_path / "file" / "clip.html", ScoredVideo(make_score()), make_report(make_score()))
