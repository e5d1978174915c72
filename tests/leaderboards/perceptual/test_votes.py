"""Votes as CSV: what is written is read again, in pwcmp's columns too; what is not a vote is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancebench.core.errors import BenchError
from dancebench.leaderboards.perceptual.votes import (
    Judgement,
    Vote,
    is_judgement_file,
    read_judgements,
    read_votes,
    write_judgements,
    write_votes,
)

TEXTS = st.text(st.characters(blacklist_categories=("C", "Z")), min_size=1, max_size=12).filter(
    lambda text: text != "tie"
)
HEADER = "rater,subject,source,question,option_1,option_2,choice\n"
PWCMP = "Observer,Session,Scene,Condition_1,Condition_2,Selection\n"


@st.composite
def votes(draw: st.DrawFn, most: int = 4, ties: bool = True) -> Vote:
    options = draw(st.lists(TEXTS, min_size=2, max_size=most, unique=True))
    choices: list[str | None] = [*options, None] if ties and len(options) == 2 else [*options]
    rater, subject, source, question = (draw(TEXTS) for _ in range(4))
    return Vote(
        rater=rater, subject=subject, source=source, question=question, options=tuple(options),
        choice=draw(st.sampled_from(choices)),
    )  # fmt: skip


@given(st.lists(votes(), min_size=1, max_size=6))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, written: list[Vote]) -> None:
    path = tmp_path_factory.mktemp("votes") / "votes.csv"
    write_votes(path, written)
    assert read_votes(path) == written


@given(st.lists(votes(most=2, ties=False), min_size=1, max_size=6))
def test_pwcmp_s_columns_hold_pairs(tmp_path_factory: pytest.TempPathFactory, written: list[Vote]) -> None:
    path = tmp_path_factory.mktemp("votes") / "votes.csv"
    same = [vote.model_copy(update={"question": "q", "subject": "s"}) for vote in written]
    write_votes(path, same, "pwcmp")
    assert path.read_text().splitlines()[0] == PWCMP.strip()
    assert read_votes(path, "pwcmp", "q") == same


def test_frozen_pwcmp_s_own_example(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text(PWCMP + "1,1,Window,TMO_Camera,Ferwerda96,1\n2, 2, Corridor, Ronan12, TMO_Camera, 2\n")
    first, second = read_votes(path, "pwcmp")
    assert (first.rater, first.subject, first.source, first.choice) == ("1", "Window", "Window", "TMO_Camera")
    assert (second.options, second.choice, second.question) == (("Ronan12", "TMO_Camera"), "TMO_Camera", "realistic")


def test_judgements_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    written = [
        Judgement(rater="r", subject="1", source="2", method="fbf", called_fake=True),
        Judgement(rater="r", subject="1", source="1", method=None, called_fake=False),
    ]
    write_judgements(path, written)
    assert is_judgement_file(path)
    assert read_judgements(path) == written
    assert [each.video_id for each in written] == ["1/2/fbf", "1/1/real"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lacks the columns"),
        ("rater,subject\nr,s\n", "lacks the columns choice, question, source"),
        (HEADER, "holds no vote"),
        (HEADER + "r,s,x,q,a,b,c\n", ":2 is not an answer"),
        (HEADER + "r,s,x,q,a,a,a\n", "stands twice"),
        (HEADER + ",s,x,q,a,b,a\n", "rater"),
        (HEADER + "r,s,x,q,a,,a\n", "options"),
        (HEADER + "r,s,x,q,a,b\n", "choice"),
        (HEADER.replace("option_2", "option_2,option_3") + "r,s,x,q,a,b,c,tie\n", "a tie among more than two"),
    ],
)
def test_what_is_no_vote_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text(text)
    with pytest.raises(BenchError, match=said) as caught:
        read_votes(path)
    assert caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("selection", ["0", "3", "", "a"])
def test_a_selection_that_is_none_is_named(selection: str, tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text(PWCMP + f"1,1,Window,a,b,{selection}\n")
    with pytest.raises(BenchError, match="Selection is 1 or 2"):
        read_votes(path, "pwcmp")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="does not exist"):
        read_votes(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchError, match="is not text"):
        read_votes(tmp_path / "binary.csv")
    (tmp_path / "answers.csv").write_text("rater,subject,source,method,answer\nr,s,x,fbf,perhaps\n")
    with pytest.raises(BenchError, match="fake or real"):
        read_judgements(tmp_path / "answers.csv")


def test_what_pwcmp_cannot_hold_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    vote = Vote(rater="r", subject="s", source="x", question="q", options=("a", "b"), choice=None)
    other = vote.model_copy(update={"question": "p", "choice": "a"})
    for written, said in (([vote], "ties"), ([vote, other], "one question")):
        with pytest.raises(BenchError, match=said):
            write_votes(tmp_path / "votes.csv", written, "pwcmp")
    assert not (tmp_path / "votes.csv").exists()
