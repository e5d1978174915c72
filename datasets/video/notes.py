"""Decode warnings: an inspection of a file in; what of it no training clip has, and what was done to it, in words."""

from __future__ import annotations

from collections.abc import Sequence

from dancebench.datasets.video.decoding import Inspection
from dancebench.datasets.video.frames import FrameSource, VideoSource
from dancebench.datasets.video.timeline import Timeline
from dancebench.datasets.video.upright import SQUARE

_PQ, _HLG = 16, 18
_MOST_JUMPS = 3
"""Jumps of the clock, and cuts, that are listed one by one."""


def list_source_warnings(source: FrameSource) -> list[str]:
    """The decode warnings of an opened recording; a folder of images has none."""
    return list_decode_warnings(source.found, "used") if isinstance(source, VideoSource) else []


def list_decode_warnings(found: Inspection, done: str = "scored") -> list[str]:
    """Properties of a file, and conversions of its frames, that no training clip has, in words.

    Args:
        found: The file, all of it decoded; of a survey the counts are those of packets.
        done: What was done with the frames: `scored`, `used`.
    """
    info, picture, timeline = found.info, found.picture, found.timeline
    warnings = [*_list_missing_frames(found), *_list_damage(found)]
    if found.n_streams > 1:
        warnings.append(f"holds {found.n_streams} video streams, only {found.read_stream} was {done}")
    if timeline.breaks:
        warnings.append(_describe_segments(timeline))
    if steps := timeline.find_uneven_steps():
        warnings.append(f"variable frame rate: {steps[0]:.3g} to {steps[1]:.3g} s between frames; none was repeated")
    if picture.pixel_aspect != SQUARE:
        warnings.append(
            f"its pixels are not square ({picture.pixel_aspect.numerator}:{picture.pixel_aspect.denominator}): "
            f"{picture.width}x{picture.height} was stretched to {_describe_square_size(found)}"
        )
    if info.rotation:
        warnings.append(f"turned upright by {info.rotation} degrees, as its metadata say")
    curve = {_PQ: "PQ", _HLG: "HLG"}.get(picture.transfer)
    if curve is not None:
        warnings.append(f"high dynamic range ({curve}): not tone-mapped, so colours are off")
    if picture.bits > 8:
        warnings.append(f"{picture.bits} bits a component: reduced to 8")
    if picture.interlaced:
        warnings.append("interlaced: not deinterlaced, so moving edges are combed")
    if picture.alpha == "over black":
        warnings.append("transparency is shown over black")
    if picture.alpha == "ignored":
        warnings.append("its transparency is not decoded")
    if info.height % 2 or info.width % 2:
        warnings.append(f"odd picture size: {info.width}x{info.height}")
    return warnings


def _describe_square_size(found: Inspection) -> str:
    """Width and height with square pixels, before the picture is turned upright."""
    sides = (found.info.width, found.info.height)
    if found.info.rotation % 180:
        sides = sides[::-1]
    return f"{sides[0]}x{sides[1]}"


def _list_missing_frames(found: Inspection) -> list[str]:
    """Pictures that the file holds or claims, and that are no frames."""
    losses, warnings = found.losses, []
    if losses.hidden:
        warnings.append(f"{losses.hidden} {_plural(losses.hidden, 'frame is', 'frames are')} hidden by an edit list")
    if losses.undecodable:
        warnings.append(
            f"{losses.undecodable} of {losses.coded} coded pictures cannot be decoded: the stream was cut where they "
            "need others"
        )
    missing = found.claimed_frames - losses.packets
    if missing > 0 and found.claimed_frames == found.spanned_frames:
        held = _plural(missing, "the frame before it is", "the frames before them are")
        warnings.append(f"{missing} of its frames {_plural(missing, 'is', 'are')} empty: {held} shown longer")
    elif _count_unfound(found):
        warnings.append(f"its header claims {found.claimed_frames} frames, {found.info.n_frames} were found")
    extent = found.extent
    if extent.claimed_end_s is not None:
        warnings.append(
            f"its header says that it ends at {extent.claimed_end_s:.2f} s, the last frame ends at {extent.end_s:.2f} s"
        )
    if extent.cut_off:
        warnings.append("it is cut off: the file ends before its last part does")
    if extent.blank_share:
        warnings.append(f"{extent.blank_share:.1%} of its bytes are blocks of zeros: they were never written")
    return warnings


def _count_unfound(found: Inspection) -> int:
    """Frames that the header claims and that are not there; those that are empty or hidden are."""
    if found.claimed_frames == found.spanned_frames or found.info.n_frames >= found.claimed_frames:
        return 0
    return max(found.claimed_frames - found.losses.packets, 0)


def _list_damage(found: Inspection) -> list[str]:
    losses = found.losses
    if losses.first_damaged is None:
        return []
    at = found.timeline.timestamps[min(losses.first_damaged, found.info.n_frames - 1)]
    counts = []
    if losses.damaged:
        counts.append(f"{losses.damaged} of {found.info.n_frames} frames show damage or are predicted from it")
    if losses.lost:
        counts.append(f"{losses.lost} {_plural(losses.lost, 'is', 'are')} lost")
    what = ", ".join(counts) or "reading stopped before its end"
    return [f"damaged from {at:.2f} s on: {what}"]


def list_cut_warnings(cuts: Sequence[float]) -> list[str]:
    """A decode warning for the seconds at which the picture is cut; none where it is not."""
    if not cuts:
        return []
    times = ", ".join(f"{cut:.2f}" for cut in cuts[:_MOST_JUMPS]) + (", …" if len(cuts) > _MOST_JUMPS else "")
    where = f"at {times} s" if len(cuts) == 1 else f"{len(cuts)} times, at {times} s"
    return [f"its picture is cut {where}; no pair of frames was taken across"]


def missing_share(found: Inspection) -> float:
    """Share of the frames that are damaged, lost, or missing according to the file's own header, or by its zeros."""
    losses, n_frames = found.losses, found.info.n_frames
    damaged = (losses.damaged + losses.lost) / max(n_frames + losses.lost, 1)
    unfound = _count_unfound(found) / max(found.claimed_frames, 1)
    return max(damaged, unfound, found.extent.missing_share, found.extent.blank_share)


def _describe_segments(timeline: Timeline) -> str:
    jumps = timeline.jumps
    count = len(jumps) + 1
    if len(jumps) == 1 and jumps[0] >= 0:
        return f"{count} stretches, {_format_gap(jumps[0])} apart; no pair of frames was taken across"
    words = [f"{'ahead' if jump >= 0 else 'back'} by {_format_gap(abs(jump))}" for jump in jumps[:_MOST_JUMPS]]
    more = ", …" if len(jumps) > _MOST_JUMPS else ""
    return f"{count} stretches: its clock jumps {', '.join(words)}{more}; no pair of frames was taken across"


def _format_gap(seconds: float) -> str:
    return f"{round(seconds, 2):g} s" if seconds < 1000 else f"{seconds:.0f} s"


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
