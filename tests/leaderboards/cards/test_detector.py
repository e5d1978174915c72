"""Model cards: complete, from records alone; the foreign reference is Hugging Face's own reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dancebench.core.metric import Metric
from dancebench.leaderboards.cards.detector import render_detector_cards, write_detector_cards
from dancebench.leaderboards.records import RunRecord

MakeRecord = Callable[..., RunRecord]
FAKES = {"method": "fbf-ts", "preset": "tiny", "body_ssim": {"fbf-ts": 0.8}}
WEIGHTS = {"weights_sha256": {"detector": "d" * 64}, "parameters": {"detector": 1234}}


@pytest.fixture
def record(make_record: MakeRecord) -> RunRecord:
    unknown = Metric(value=None, reason="too few", n=4, unit="p", higher_is_better=None)
    metrics = {
        "video_auc": 0.9, "pair_auc": 0.8, "shortcut_p": unknown,
        "video_auc@perturbation=crf40": 0.6, "video_auc@perturbation=blur1": 0.7,
    }  # fmt: skip
    facts = {"fakes": FAKES, "view": "face:224x224", "warnings": ("the <null> control failed",)}
    return make_record("pair-patch", metrics, kind="detection", subjects=4, entry=WEIGHTS, facts=facts)


def test_a_card_says_what_it_must(record: RunRecord) -> None:
    [(name, card)] = render_detector_cards([record]).items()
    assert name.startswith("pair-patch-")
    for heading in ("Trained on", "Measured", "Limits", "Not covered", "Must not be used for"):
        assert f"\n## {heading}\n" in card
    assert "- fakes: fbf-ts, preset tiny" in card
    assert "- looks at: face:224x224" in card
    assert f"SHA-256 `{'d' * 64}`" in card
    assert "| video AUC ↑ | 0.900 [0.800, 1.000] † n=20 |" in card
    assert "| video AUC ↑, lowest by perturbation: crf40 | 0.600 [0.500, 0.700] † n=20 |" in card
    assert "| shortcut p | – (1) |" in card
    assert "- (1) too few" in card
    assert "⚠ the &lt;null> control failed" in card
    assert "4 people were tested: below 10 an interval is unreliable" in card
    assert "Other synthesis methods than the one it was trained on: none was tested." in card
    assert "Perturbed copies" not in card


def test_foreign_reference_hugging_face_reads_the_front_matter(record: RunRecord) -> None:
    hub = pytest.importorskip("huggingface_hub")
    [card] = render_detector_cards([record]).values()
    data = hub.ModelCard(card).data
    assert data.library_name == "dancebench"
    assert data.model_name == "pair-patch (tiny)"
    [auc] = [result for result in data.eval_results if result.metric_type == "roc_auc"]
    assert auc.metric_value == 0.9
    assert auc.dataset_name == "demo, held-out people"


def test_one_card_for_each_training(make_record: MakeRecord, record: RunRecord) -> None:
    elsewhere = make_record(
        "pair-patch", {"video_auc": 0.7}, kind="detection", dataset_id="e" * 64, entry=WEIGHTS,
        facts={"tested_on": "theirs"},
    )  # fmt: skip
    other = make_record("pair-patch", {"video_auc": 0.7}, kind="detection", run_of="other", entry={"preset": "small"})
    submitted = {"sha256": "a" * 64, "missing_holdout": 0, "missing_validation": 0}
    theirs = make_record("theirs", {"video_auc": 0.7}, kind="detection", facts={"submitted": submitted})
    method = make_record("fbf", {"body_ssim": 0.7})
    cards = render_detector_cards([record, elsewhere, other, theirs, method])
    assert len(cards) == 2
    [both] = [card for card in cards.values() if "theirs, held-out people" in card]
    assert "### demo, held-out people" in both


def test_cards_are_the_same_in_any_order_and_old_ones_go(
    tmp_path: Path, make_record: MakeRecord, record: RunRecord
) -> None:
    other = make_record("spectrum", {"video_auc": 0.7}, kind="detection")
    assert render_detector_cards([record, other]) == render_detector_cards([other, record])
    assert len(write_detector_cards([record, other], tmp_path)) == 2
    [kept] = write_detector_cards([other], tmp_path)
    assert list(tmp_path.iterdir()) == [kept]


def test_a_name_that_is_markup_is_text(make_record: MakeRecord) -> None:
    evil = '"]\n---\n<script>'
    [card] = render_detector_cards(
        [make_record("x", {"video_auc": 0.7}, kind="detection", entry={"name": evil, "preset": evil})]
    ).values()
    front = card.split("---\n")[1]
    assert front.count("\n") == 4  # as many lines as fields
    assert "<script>" not in card.replace(front, "")
