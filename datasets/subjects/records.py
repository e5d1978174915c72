"""The records of subjects and datasets, as typed JSON.

`dataset_id` identifies the data behind a result and is the same on every machine: it hashes the sources
(file hashes, or the drawing generator's version and seeds), the roles, the split, the prepare configuration and
what the poses come from. `content_sha256` hashes the prepared files themselves, against tampering; it differs
between machines, since encoders and pose models round differently.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_json
from dancebench.core.schema import Document, Name, Strict
from dancebench.datasets.corpora.manifest import PictureKind
from dancebench.datasets.pose.extractors.base import PoseExtractor, find_default_extractor, open_extractor
from dancebench.datasets.pose.extractors.truth import TRUTH_EXTRACTOR
from dancebench.datasets.video.picture_size import MAX_CLIP_SIDE

Role = Literal["target", "train", "validation", "holdout", "driver"]
ROLES: tuple[Role, ...] = ("target", "train", "validation", "holdout", "driver")


class FileSource(Strict):
    """A recording: a video file or a folder of images."""

    kind: Literal["file"] = "file"
    name: str
    """The file's own name, for people; nothing is looked up by it."""
    sha256: str


Surroundings = Literal["still", "moving"]


class DrawnSource(Strict):
    """A demo dancer, made by the drawing generator."""

    kind: Literal["drawn"] = "drawn"
    generator_version: int
    seed: int
    n_frames: int
    surroundings: Surroundings = "still"
    """`moving`: a drifting camera, a moving object and changing light. Written where it is not `still`, so that the ids
    of datasets before version 5 stay as they were."""

    @model_serializer(mode="wrap")
    def _leave_out_still(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        return {name: value for name, value in data.items() if (name, value) != ("surroundings", "still")}


class ImportedSource(Strict):
    """A folder in another project's layout: frames, and the poses or pose maps made for them."""

    kind: Literal["imported"] = "imported"
    layout: str
    name: str
    """The folder's own name, for people; nothing is looked up by it."""
    sha256: str
    """Of all frames, pose maps and texts, by name and content."""
    frames_sha256: tuple[str, ...] = ()
    """Of the frames alone, each video or folder as `FileSource` would hash it."""
    fps: float | None = None
    """Rate at which numbered frames were taken, as stated; a video has its own."""


Source = Annotated[FileSource | DrawnSource | ImportedSource, Field(discriminator="kind")]


def list_recordings(source: FileSource | DrawnSource | ImportedSource) -> frozenset[str]:
    """Hashes of the recordings that a source is made of; a drawn dancer has none."""
    if isinstance(source, ImportedSource):
        return frozenset(source.frames_sha256)
    return frozenset([source.sha256]) if isinstance(source, FileSource) else frozenset()


def list_origins(source: FileSource | DrawnSource | ImportedSource) -> frozenset[str]:
    """What tells whether two sources show one recording or one drawn dancer: they share an origin."""
    if isinstance(source, DrawnSource):
        return frozenset([f"drawn {source.seed}"])
    whole = [source.sha256] if isinstance(source, ImportedSource) else []
    return list_recordings(source) | frozenset(whole)


class PrepareConfig(Strict):
    """How a recording becomes a clip.

    Frames are letterboxed to `height` x `width` (never stretched) and dropped by time stamp down to at
    most `fps` frames a second (never repeated).
    """

    height: int = Field(512, ge=64, le=MAX_CLIP_SIDE, multiple_of=64)
    width: int = Field(256, ge=64, le=MAX_CLIP_SIDE, multiple_of=64)
    fps: float = Field(30.0, gt=0)

    @model_validator(mode="after")
    def _simple_aspect(self) -> Self:
        short, long = sorted((self.height, self.width))
        if long not in (short, 2 * short):
            raise ValueError("one side of a clip is as long as the other or twice as long")
        return self


class SplitConfig(Strict):
    """The chronological split of each clip: the first share trains, the rest is held out.

    `train_fraction` 0.8 is the default here; `edn` in the paper's text reads as 0.2.
    """

    train_fraction: float = Field(0.8, gt=0.0, lt=1.0)

    def train(self, n_frames: int) -> range:
        """Frames that a synthesizer may learn from."""
        return range(0, round(n_frames * self.train_fraction))

    def test(self, n_frames: int) -> range:
        """The held-out time span."""
        return range(round(n_frames * self.train_fraction), n_frames)


class Permission(Strict):
    """Why this person's video may be used.

    For a target the person's consent; for every other role a stated legal basis.
    """

    kind: Literal["consent", "legal-basis"]
    text: str
    """The statement, or the name of the document that holds it, kept beside the clip."""
    sha256: str
    """Hash of the statement or document."""


class SubjectEntry(Strict):
    """A subject as its dataset lists it, whether or not its clip has been prepared yet."""

    id: Name
    role: Role
    source: Source
    pictures: PictureKind = "camera"
    """Where it is not stated: `drawn` for a drawn source, `camera` for any other."""

    @model_validator(mode="before")
    @classmethod
    def _infer_pictures(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "pictures" in data:
            return data
        source = data.get("source")
        kind = source.get("kind") if isinstance(source, dict) else getattr(source, "kind", None)
        return data | {"pictures": "drawn" if kind == "drawn" else "camera"}


class SubjectRecord(Document):
    """`subject.json`: what the prepared clip is, and where it came from.

    Version 2 adds the fields of imports, version 3 the decode warnings, version 4 the surroundings of drawn dancers;
    earlier files have none of them.
    """

    SCHEMA_VERSION: ClassVar[int] = 4
    schema_version: int = 4

    id: Name
    role: Role
    source: Source
    licence: str
    permission: Permission
    source_fps: float
    source_height: int
    source_width: int
    source_frames: int
    fps: float
    height: int
    width: int
    n_frames: int
    person_frames: int
    """Frames in which the body was found."""
    decoder: str
    encoder: str
    pose_extractor: str
    clip_sha256: str
    poses_sha256: str
    breaks: tuple[int, ...] = ()
    """Frames that begin a new segment: not consecutive with the previous frame; ascending."""
    decode_warnings: tuple[str, ...] = ()
    """Properties of the recording, and conversions of its frames, in words; cuts too."""
    n_train: int | None = None
    """Frames of the training part, where the source names one; otherwise the dataset's split applies."""
    labels_sha256: str | None = None
    """Of the pose maps, where they were supplied."""
    face_boxes_sha256: str | None = None

    @model_validator(mode="after")
    def _breaks_within(self) -> Self:
        inside = all(0 < t < self.n_frames for t in self.breaks)
        if not inside or any(b <= a for a, b in pairwise(self.breaks)):
            raise ValueError("breaks ascend and lie within the clip")
        if self.n_train is not None and self.n_train not in self.breaks:
            raise ValueError("the end of the training part is a break")
        return self

    @property
    def contents(self) -> list[Any]:
        """What everything made from the subject depends on: the clip, its poses, and what was imported with them."""
        imported = self.model_dump(include={"breaks", "n_train", "labels_sha256", "face_boxes_sha256"}, mode="json")
        imported = {name: value for name, value in imported.items() if value}
        return [self.clip_sha256, self.poses_sha256, *([imported] if imported else [])]

    @property
    def content_sha256(self) -> str:
        """Hash of `contents`."""
        return sha256_json(self.contents)


class ModelFile(Strict):
    """A file of a model, by its hash."""

    name: str
    sha256: str


class PoseSource(Strict):
    """Where the poses of a dataset come from; equal sources are comparable.

    Attributes:
        extractor: Its name in the registry.
        description: Its library, version, models and settings in words.
        models: The files of its models.
    """

    extractor: Name
    description: str
    models: tuple[ModelFile, ...] = ()

    @classmethod
    def choose(cls, name: str | None = None) -> Self:
        """The extractor of that name; by default this machine's, or `truth` where none can run.

        Raises:
            UnknownNameError: There is no such extractor.
            BenchError: It cannot run on this machine.
        """
        chosen = name or find_default_extractor() or TRUTH_EXTRACTOR
        extractor = open_extractor(chosen)
        models = tuple(ModelFile(name=file, sha256=sha256) for file, sha256 in sorted(extractor.model_hashes().items()))
        return cls(extractor=chosen, description=extractor.describe(), models=models)

    def open(self) -> PoseExtractor:
        """The extractor itself.

        Raises:
            BenchError: This machine has none, or another version of it.
        """
        extractor = open_extractor(self.extractor)
        if extractor.describe() != self.description:
            raise BenchError(
                f"These poses are of {self.description}; this machine has {extractor.describe()}.",
                hint="Poses of two extractors are not comparable: prepare another dataset, or install that version.",
            )
        return extractor


FIRST_POSE_SOURCE: Final = PoseSource(
    extractor="holistic", description="mediapipe 0.10.21 holistic complexity=1 tracking visibility>=0.5"
)
"""Of every dataset whose record names none."""


class DatasetRecord(Document):
    """`dataset.json`.

    Version 2 may list imports; a file of version 1 lists none. Version 3 says where the poses come from, version 4
    of what kind each subject's pictures are: in an earlier file they are inferred from its source. Version 5 may list
    drawn dancers with moving surroundings.
    """

    SCHEMA_VERSION: ClassVar[int] = 5
    schema_version: int = 5

    name: Name
    licence: str
    prepare: PrepareConfig
    split: SplitConfig = SplitConfig()
    poses: PoseSource = Field(default_factory=PoseSource.choose)
    subjects: tuple[SubjectEntry, ...] = ()

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        return {"poses": FIRST_POSE_SOURCE.model_dump(), **data}

    @property
    def dataset_id(self) -> str:
        """Hash of sources, roles, split, prepare configuration and pose source, not of the name.

        The kind of the pictures does not enter either: ids of datasets before version 4 stay as they were.
        """
        subjects = [
            {"id": entry.id, "role": entry.role, "source": entry.source.model_dump(exclude={"name"})}
            for entry in sorted(self.subjects, key=lambda entry: entry.id)
        ]
        facts: dict[str, Any] = {"prepare": self.prepare.model_dump(), "split": self.split.model_dump()}
        if (
            self.poses.description != FIRST_POSE_SOURCE.description
        ):  # ids of datasets before version 3 stay as they were
            facts["poses"] = self.poses.model_dump()
        return sha256_json({**facts, "subjects": subjects})
