"""Registry of the metrics of a fake: name, unit, which direction is better, how it is measured, why it may be missing.

A metric is one registration, in the module that measures it:

    register_image   a function of two batches of crops, measured in each region: its column is `REGION_NAME`
    register_frames  a function of the frames of two clips, which measures one column or several
    register_files   a function of two whole clip files, which measures one column or several
    register_ratio   a ratio of two columns, computed per subject and not per frame

A name in `_real` is the same metric on the real clip, the value that a perfect fake would have. For such a
value, and for a ratio to it, neither direction is better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from dancebench.benchmark.metrics.chunks import FakeAndReal, Frames
from dancebench.benchmark.metrics.regions import REGIONS, Region
from dancebench.core.progress import ReportProgress
from dancebench.core.registry import Registry

if TYPE_CHECKING:
    import torch

ImageFunction = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""`compare(fake, real)`: crops (N, 3, h, w) in [0, 1] to values (N,); one that is not finite becomes null."""
FramesFunction = Callable[[FakeAndReal[Frames]], pd.DataFrame]
"""One row for each frame, with the registered columns; called for chunks of a clip."""
FilesFunction = Callable[[FakeAndReal[Path], ReportProgress], pd.DataFrame]
"""One row for each frame, with the registered columns."""
FinishRows = Callable[[pd.DataFrame], pd.DataFrame]
"""From the rows of a whole clip to the same rows, once what is known of the whole is taken into account."""


@dataclass(frozen=True)
class MetricInfo:
    """What a metric's value means."""

    unit: str
    higher_is_better: bool | None
    """None where neither direction is better."""
    missing: str = "no frame has a value"
    """The reason that a record states if no frame has a value."""
    reasons: str | None = None
    """Column of the rows that has the reason of each frame without a value, if there is one."""


@dataclass(frozen=True)
class ImageMeasure:
    """Compares crops of one region, in batches."""

    region: Region
    compare: ImageFunction
    explain_absence: Callable[[], str | None]
    """Why it cannot be measured on this machine; None where it can."""


@dataclass(frozen=True)
class FramesMeasure:
    """Measures columns from frames, and finishes them when the whole clip is measured."""

    measure: FramesFunction
    finish: FinishRows


@dataclass(frozen=True)
class FilesMeasure:
    """Measures columns from whole clip files."""

    measure: FilesFunction


@dataclass(frozen=True)
class Ratio:
    """The mean of one column over the mean of another, over the frames that have both."""

    numerator: str
    denominator: str
    undefined: str
    """The reason that a record states if the denominator is zero."""


@dataclass(frozen=True)
class FakeMetric:
    """What a metric means, and how it is measured."""

    info: MetricInfo
    measure: ImageMeasure | FramesMeasure | FilesMeasure | Ratio


class MetricRegistry(Registry[FakeMetric]):
    """Metrics by their full name, which is their column in rows and their name in records.

    >>> from dancebench import METRICS
    >>> METRICS["body_ssim"].info.unit, METRICS["body_ssim"].info.higher_is_better
    ('SSIM in [-1, 1]', True)
    """

    def register_image(
        self,
        name: str,
        info: MetricInfo,
        *,
        regions: Sequence[Region] = REGIONS,
        explain_absence: Callable[[], str | None] = lambda: None,
    ) -> Callable[[ImageFunction], ImageFunction]:
        """Enter a comparison of images as `REGION_NAME` for each region.

        Args:
            name: Without the region.
            info: What its value means.
            regions: Where it is measured.
            explain_absence: Why it cannot be measured on this machine, None where it can; called before it is used.
        """

        def decorate(compare: ImageFunction) -> ImageFunction:
            for region in regions:
                measure = ImageMeasure(region, compare, explain_absence)
                self.enter(f"{region}_{name}", FakeMetric(info, measure), module=compare.__module__)
            return compare

        return decorate

    def register_frames(
        self, columns: Mapping[str, MetricInfo], *, finish: FinishRows = lambda rows: rows
    ) -> Callable[[FramesFunction], FramesFunction]:
        """Enter a function of frames under the name of each column that it, or `finish`, measures."""

        def decorate(function: FramesFunction) -> FramesFunction:
            measure = FramesMeasure(function, finish)
            for name, info in columns.items():
                self.enter(name, FakeMetric(info, measure), module=function.__module__)
            return function

        return decorate

    def register_files(self, columns: Mapping[str, MetricInfo]) -> Callable[[FilesFunction], FilesFunction]:
        """Enter a function of clip files under the name of each column that it measures."""

        def decorate(function: FilesFunction) -> FilesFunction:
            for name, info in columns.items():
                self.enter(name, FakeMetric(info, FilesMeasure(function)), module=function.__module__)
            return function

        return decorate

    def register_ratio(self, name: str, info: MetricInfo, ratio: Ratio, *, module: str) -> None:
        """Enter a ratio of two columns; `module` is the `__name__` of the caller."""
        self.enter(name, FakeMetric(info, ratio), module=module)

    def find_ratios(self) -> dict[str, Ratio]:
        """The ratios by name."""
        return {name: each.measure for name, each in self.entries().items() if isinstance(each.measure, Ratio)}


METRICS: Final = MetricRegistry("metric", package="dancebench.benchmark.metrics", group="dancebench.metrics")
