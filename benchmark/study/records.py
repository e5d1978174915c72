"""What a study is: its clips, what is asked about them, and who is excluded, all fixed before the first vote.

studies/NAME/study.json      this record; its hash stands in the store of votes and in every report
studies/NAME/access.json     the token of the link and the completion codes
studies/NAME/clips/ID.mp4    what is shown, under names that tell nothing
studies/NAME/votes.sqlite    raters, trials and answers
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json, sha256_once
from dancebench.core.schema import Document, Strict
from dancebench.core.workspace import Workspace

Task = Literal["edn", "ddg", "real-or-fake"]
Slot = Literal["a", "b", "c", "d"]
SLOTS: Final[tuple[Slot, ...]] = ("a", "b", "c", "d")
"""Where videos stand, in the order of reading."""
Share = Annotated[float, Field(ge=0, le=1)]


class Question(Strict):
    """One question about what is shown."""

    id: str
    text: str


QUESTIONS: Final[dict[Task, tuple[Question, ...]]] = {
    "edn": (Question(id="realistic", text="Which video looks more realistic?"),),
    "ddg": (
        Question(id="body", text="In which video is the body most complete?"),
        Question(id="face", text="In which video is the face clearest?"),
        Question(id="isolation", text="In which video is the person best separated from the background?"),
        Question(id="stability", text="Which video is most stable over time?"),
        Question(id="overall", text="Which video is best overall?"),
    ),
    "real-or-fake": (Question(id="real-or-fake", text="Is this video real or synthesized?"),),
}
"""EDN asks one question, DDG five (Table 4); the last task is of single videos."""
AT_ONCE: Final[dict[Task, int]] = {"edn": 2, "ddg": 4, "real-or-fake": 1}
"""Most videos of one trial: as many as the papers showed."""


class ExclusionRules(Strict):
    """Which answers are accepted but not used. Written before the first vote."""

    max_failed_checks: NonNegativeInt = 0
    """A rater who failed more attention checks is not used."""
    screened_out_checks: PositiveInt = 2
    """A rater who failed so many ends there, with the other completion code."""
    require_finished: bool = True
    """A rater who did not come to the end is not used."""
    max_same_side: Share = 0.95
    """A rater who gave the same answer in a larger share of at least 10 trials is not used."""
    max_viewing_ratio: Annotated[float, Field(ge=1)] = 1.15
    """An answer is not used if a video took longer to play than this multiple of its length."""
    max_dropped_frames: Share = 0.2
    """An answer is not used if a video dropped a larger share of its frames."""
    min_reaction_s: Annotated[float, Field(ge=0)] = 0.2
    """An answer given sooner after the end of the videos is not used."""


class ShownClip(Strict):
    """A video of the study."""

    id: str
    subject: str
    source: str
    method: str | None
    """None for a real."""
    sha256: str
    from_sha256: str
    """Of the clip that it was cut from."""
    start_s: float
    """In that clip."""
    seconds: float
    n_frames: int
    fps: float
    height: int
    width: int


class Item(Strict):
    """What one trial can be: clips of one subject and source beside each other, or one clip."""

    id: str
    kind: Literal["question", "instructed", "obvious"]
    clips: Annotated[tuple[str, ...], Field(min_length=1, max_length=len(SLOTS))]
    expected: str | None = None
    """Of a check: the answer by which it is passed; for several clips, the id of the clip."""

    def arrange(self, order: Sequence[int]) -> tuple[str, ...]:
        """The clips as they are shown."""
        return tuple(self.clips[at] for at in order)

    @property
    def answers(self) -> tuple[str, ...]:
        """What can be answered to each question: a slot, or of one clip real or fake."""
        return SLOTS[: len(self.clips)] if len(self.clips) > 1 else ("real", "fake")

    def find_expected(self, order: Sequence[int]) -> str:
        """Of a check that is shown in this order: the answer by which it is passed.

        Raises:
            ValueError: It is no check.
        """
        expected = self.expected or ""
        return self.answers[self.arrange(order).index(expected)] if len(self.clips) > 1 else expected


class StudyRecord(Document):
    """`study.json`."""

    SCHEMA_VERSION: ClassVar[int] = 1

    name: str
    task: Task
    seed: int
    dataset: str
    dataset_id: str
    preset: str
    methods: tuple[str, ...]
    subjects: tuple[str, ...]
    frame_size: str
    """HEIGHTxWIDTH, or `native`."""
    seconds: float | None
    """Length of the snippets; None for whole clips."""
    trials_per_rater: PositiveInt
    """Without the attention checks."""
    checks_per_rater: NonNegativeInt
    contact: str
    """Who asks, shown to raters."""
    rules: ExclusionRules
    clips: tuple[ShownClip, ...]
    items: tuple[Item, ...]
    checks: tuple[Item, ...]

    @property
    def sha256(self) -> str:
        """Of all that is asked, shown and excluded."""
        return sha256_json(self.model_dump(mode="json"))

    @property
    def rules_sha256(self) -> str:
        return sha256_json(self.rules.model_dump(mode="json"))

    @property
    def questions(self) -> tuple[Question, ...]:
        return QUESTIONS[self.task]

    @property
    def clip_of(self) -> dict[str, ShownClip]:
        """The clips by id."""
        return {clip.id: clip for clip in self.clips}

    @property
    def item_of(self) -> dict[str, Item]:
        """Items and checks by id."""
        return {item.id: item for item in (*self.items, *self.checks)}

    @property
    def is_comparative(self) -> bool:
        """Whether videos are compared with each other."""
        return self.task != "real-or-fake"


class Access(Document):
    """`access.json`: what opens the study, and what raters take home. Not for publication."""

    token: str
    completed: str
    """Completion code of those who finished."""
    screened_out: str
    """Completion code of those who failed the attention checks."""


class StudyFolder:
    """The files of one study.

    Args:
        workspace: Where it lies.
        name: Of the study.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.path = workspace.study(name)
        self.name = name

    @property
    def record_path(self) -> Path:
        return self.path / "study.json"

    @property
    def access_path(self) -> Path:
        return self.path / "access.json"

    @property
    def store_path(self) -> Path:
        return self.path / "votes.sqlite"

    @property
    def votes_path(self) -> Path:
        """The votes of an imported study."""
        return self.path / "votes.csv"

    def clip_path(self, clip_id: str) -> Path:
        return self.path / "clips" / f"{clip_id}.mp4"

    def load(self) -> StudyRecord:
        """The study.

        Raises:
            BenchError: There is none, or it is damaged.
        """
        if not self.record_path.exists():
            imported = self.votes_path.exists()
            raise BenchError(
                f"The study '{self.name}' has no page: its votes were imported." if imported
                else f"There is no study '{self.name}' in {self.path.parent}.",
                hint=f"Read them with: bench study report {self.name}" if imported
                else f"Make it with: bench study make {self.name} --method … --method …",
            )  # fmt: skip
        return StudyRecord.load(self.record_path)

    def check_clips(self, study: StudyRecord) -> None:
        """Check that the clips are those that the study was made of.

        Raises:
            BenchError: A clip is missing or was changed.
        """
        for clip in study.clips:
            path = self.clip_path(clip.id)
            if not path.is_file() or sha256_once(path) != clip.sha256:
                state = "was changed" if path.is_file() else "is missing"
                raise BenchError(
                    f"{path} {state}: it is not the clip that the study was made of.",
                    hint="Restore it; votes about other clips would count for this one.",
                )
