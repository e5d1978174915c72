"""SynthForensics: what video generators make of the clips of FaceForensics++ and DeepFakeDetection.

    {T2V,I2V}/videos/{raw,canonical,crf23,crf40}/GENERATOR/CLIP_GENERATOR_{t2v,i2v}.mp4
    I2V/i2v_frames/NNN.png

The reals are the clips themselves, in the reader's own copy of those corpora (`--reals`).
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from dancebench.datasets.corpora.base import CORPORA, CorpusRequest, Layout, Reading, list_people, make_row
from dancebench.datasets.corpora.layouts import dfd, ffpp
from dancebench.datasets.corpora.manifest import Terms, VideoRow

FAKE: Final = re.compile(
    r"(?P<kind>T2V|I2V)/videos/(?P<compression>raw|canonical|crf23|crf40)/(?P<generator>[^/]+)/"
    r"(?P<clip>\d{3}|\d\d__.+)_(?P=generator)_(?:t2v|i2v)\.mp4"
)
_PER_COMPRESSION: Final = 20445
"""15 generators, 1,363 clips each."""


@CORPORA.register("synthforensics")
class SynthForensics(Layout):
    """SynthForensics: text- and image-to-video generators after clips of FaceForensics++ and DFD."""

    title: ClassVar[str] = "SynthForensics"
    url: ClassVar[str] = "https://huggingface.co/datasets/SynthForensics/SynthForensics"
    terms: ClassVar[Terms] = Terms(licence="research only; the reals are under the FaceForensics Terms of Use")
    patterns: ClassVar[tuple[re.Pattern[str], ...]] = (FAKE,)
    side: ClassVar[re.Pattern[str]] = re.compile(r"I2V/i2v_frames/.*|.*\.json|README.*")
    takes: ClassVar[frozenset[str]] = frozenset({"reals"})

    def read(self, request: CorpusRequest) -> Reading:
        """Read the names, and those of the reals."""
        reading = Reading()
        clips: set[str] = set()
        for name in request.tree.files:
            if found := FAKE.fullmatch(name):
                clips.add(found["clip"])
                reading.rows.append(_make_row(request, name, found))
        _add_reals(request, reading, clips)
        for compression in sorted({str(row.compression) for row in reading.rows if row.label}):
            fakes = sum(row.label == 1 and row.compression == compression for row in reading.rows)
            reading.count(f"fake {compression}", fakes, _PER_COMPRESSION)
        return reading


def _make_row(request: CorpusRequest, name: str, found: re.Match[str]) -> VideoRow:
    clip = found["clip"]
    ffpp_clip = clip.isdigit()
    person = ffpp.name_person(clip, ffpp.PEOPLE_OF) if ffpp_clip else f"dfd/{clip[:2]}"
    return make_row(
        request.tree, name, 1, list_people(target=person), real_of=f"{'youtube' if ffpp_clip else 'actors'}/c23/{clip}",
        video_id=f"{found['kind']}/{found['compression']}/{found['generator']}/{clip}", method=found["generator"],
        family="text to video" if found["kind"] == "T2V" else "image to video", region="whole",
        compression=found["compression"],
    )  # fmt: skip


def _add_reals(request: CorpusRequest, reading: Reading, clips: set[str]) -> None:
    """The reals, compressed as c23 is, of the clips that the fakes were made after."""
    if request.reals is None:
        reading.problems.append("The reals are clips of FaceForensics++ and DFD: name their folder by --reals.")
        return
    for name in request.reals.files:
        row = ffpp.read_real(request.reals, name, ffpp.PEOPLE_OF) or dfd.read_name(request.reals, name)
        if row is not None and row.label == 0 and row.compression == "c23" and row.video_id.split("/")[-1] in clips:
            reading.rows.append(row.model_copy(update={"official_split": None}))
