"""The metrics that leaderboards show, as columns of tables by theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dancebench.leaderboards.facts import CONTROLS, read_trunk
from dancebench.leaderboards.records import RunKind, RunRecord

MAIN = ""
"""Theme of the columns in a section's main table; every other theme has a table of its own."""


@dataclass(frozen=True)
class Column:
    """A metric that the tables show; the CSV has all the others too."""

    metric: str
    title: str
    higher_is_better: bool | None
    form: str = ".3f"
    theme: str = MAIN
    """Which of a section's tables it stands in."""
    short: str = ""
    """Its heading on a terminal; empty where it is not among the few that a terminal has room for."""
    remark: str = ""
    """What a reader must know of it, shown under its table."""
    leads: bool = False
    """Whether sections that have it are ranked by it: only runs of a protocol that says so have it."""

    @property
    def header(self) -> str:
        """The title with the direction of better."""
        return self.title + self._arrow

    @property
    def screen_header(self) -> str:
        """The short heading with the direction of better."""
        return self.short + self._arrow

    @property
    def _arrow(self) -> str:
        return {True: " ↑", False: " ↓", None: ""}[self.higher_is_better]

    def has_same_trunk(self, record: RunRecord) -> bool:
        """Whether this is LPIPS of the trunk that the record's method was trained with: it favours its own loss."""
        _, is_lpips, backbone = self.metric.partition("lpips_")
        trunk = read_trunk(record)
        return bool(is_lpips) and trunk is not None and trunk.startswith(backbone)


_IMAGES = "Further image metrics: body and face"
_FRAME = "Further image metrics of the whole frame"
_DDG = "Whole frame, foreground and difference frames, as in Dance Dance Generation's Tables 1 to 3"
_POSES = "Poses"
_TEMPORAL = "Flicker and warp error"
_VIDEO = "Video level"
_PAIR = "Pair level"
_CALIBRATION = "Calibration and abstention"
_MISLEADING = "Misleading evidence"
OTHERS: Final = "Other metrics"

_SAME_DETECTOR = (
    "Pose columns: poses are found by the MediaPipe whose poses also drive the synthesis, so both miss the same; "
    "the columns of the real clip say what it errs by itself, at the size of the fakes."
)
_TRUE_JOINTS = "True joints are known of drawn dancers: pose distances to them do not rest on the driving poses."
_TO_THE_REAL = "Ratios are to the real clip's: 1 is right, and below 1 is blur, so lower is not better."
_FOREGROUND = (
    "Foreground: all but the person of the real frame is black in both clips, and all pixels count. The paper's own "
    "rows are among the reference tables: its pix2pixHD is `fbf` here."
)
_PERMUTED = "Permuted labels: the detector's own scores under labels permuted within subjects; the AUC is their mean."


def _list_region_columns(region: str) -> tuple[Column, ...]:
    """SSIM and LPIPS in the main table, the other image metrics of the region in another."""
    body = region == "body"
    return (
        Column(f"{region}_ssim", f"{region} SSIM", True, short=f"{region} SSIM"),
        Column(f"{region}_lpips_squeeze", f"{region} LPIPS-squeeze", False, short="body LPIPS" if body else ""),
        Column(
            f"{region}_psnr", f"{region} PSNR", True, ".2f", theme=MAIN if body else _IMAGES,
            short="body PSNR" if body else "",
        ),
        Column(f"{region}_mse", f"{region} MSE", False, ".1f", theme=_IMAGES),
        Column(f"{region}_l1", f"{region} L1", False, ".4f", theme=_IMAGES),
        Column(f"{region}_diff_mse", f"{region} difference MSE", False, ".1f", theme=_IMAGES),
    )  # fmt: skip


def _list_ddg_columns(region: str) -> tuple[Column, ...]:
    """The metrics of Dance Dance Generation (Tables 1 to 3) in one region."""
    remark = _FOREGROUND if region == "foreground" else ""
    return (
        Column(f"{region}_mse", f"{region} MSE", False, ".1f", _DDG, remark=remark),
        Column(f"{region}_psnr", f"{region} PSNR", True, ".2f", _DDG, remark=remark),
        Column(f"{region}_ssim", f"{region} SSIM", True, ".4f", _DDG, remark=remark),
        Column(f"{region}_diff_mse", f"{region} difference MSE", False, ".1f", _DDG, remark=remark),
    )


def _list_level_columns(level: str, theme: str) -> tuple[Column, ...]:
    return (
        Column(f"{level}_eer", f"{level} EER", False, theme=theme),
        Column(f"{level}_ap", f"{level} AP", True, theme=theme),
        Column(f"{level}_tpr_fpr1", f"{level} TPR at 1% FPR", True, theme=theme),
        Column(f"{level}_tpr_fpr5", f"{level} TPR at 5% FPR", True, theme=theme),
    )


_SIZES_OF_MISLEADING = (
    ("real", "", "above 1"), ("real", "_10", "above 10"), ("real", "_100", "above 100"),
    ("fake", "", "below 1"), ("fake", "_10", "below 1/10"), ("fake", "_100", "below 1/100"),
)  # fmt: skip


_UNSEEN = (
    "Unseen AUC: mean of the video AUCs over every method and every perturbation that the protocol names and that the "
    "detector was not trained on; one AUC for each method under each perturbation, of its fakes and of all reals."
)

COLUMNS: dict[RunKind, tuple[Column, ...]] = {
    "synthesis": (
        *_list_region_columns("body"),
        *_list_region_columns("face"),
        *(column for region in ("frame", "foreground") for column in _list_ddg_columns(region)),
        Column("frame_ssim_valid", "frame SSIM, whole windows", True, theme=_FRAME),
        Column("frame_lpips_squeeze", "frame LPIPS-squeeze", False, theme=_FRAME),
        Column("frame_l1", "frame L1", False, ".4f", theme=_FRAME),
        Column("pose_distance", "pose distance, % of height", False, ".2f", _POSES, remark=_SAME_DETECTOR),
        Column("pose_distance_real", "pose distance of the real clip", None, ".2f", _POSES),
        Column("pose_missed", "missed joints", False, ".2f", _POSES, remark=_SAME_DETECTOR),
        Column("pose_missed_real", "missed joints of the real clip", None, ".2f", _POSES),
        Column(
            "pose_distance_true", "pose distance to the true joints, % of height", False, ".2f", _POSES,
            remark=_TRUE_JOINTS,
        ),
        Column("pose_distance_true_real", "pose distance of the real clip to the true joints", None, ".2f", _POSES),
        Column("background_flicker_ratio", "background flicker ratio", None, theme=_TEMPORAL, remark=_TO_THE_REAL),
        Column("background_flicker_excess", "excess background flicker, levels", False, theme=_TEMPORAL),
        Column("warp_error_ratio", "warp error ratio", None, theme=_TEMPORAL, remark=_TO_THE_REAL),
    ),
    "detection": (
        Column("video_auc", "video AUC", True, short="video AUC"),
        Column("video_auc_unseen", "unseen AUC", True, short="unseen AUC", remark=_UNSEEN, leads=True),
        Column("video_accuracy", "video accuracy", True, short="video accuracy"),
        Column("video_cllr", "video Cllr", False, short="video Cllr"),
        Column("pair_auc", "pair AUC", True, short="pair AUC"),
        Column("pair_accuracy", "pair accuracy", True, short="pair accuracy"),
        *_list_level_columns("video", _VIDEO),
        *_list_level_columns("pair", _PAIR),
        Column("video_cllr_min", "video Cllr min", False, theme=_CALIBRATION),
        Column("video_cllr_cal", "video Cllr cal", False, theme=_CALIBRATION),
        Column("video_devpav", "video devPAV", False, theme=_CALIBRATION),
        Column("video_brier", "video Brier", False, theme=_CALIBRATION),
        Column("pair_brier", "pair Brier", False, theme=_CALIBRATION),
        Column("pair_expected_calibration_error", "pair expected calibration error", False, theme=_CALIBRATION),
        Column("abstained", "abstained", False, theme=_CALIBRATION),
        *(
            Column(f"video_misleading_{kind}{suffix}", f"{kind}s with LR {beyond}", False, theme=_MISLEADING)
            for kind, suffix, beyond in _SIZES_OF_MISLEADING
        ),
        Column("null_shift", "null shift", False, theme=CONTROLS),
        Column("permutation_auc", "AUC under permuted labels", None, theme=CONTROLS, remark=_PERMUTED),
        Column("permutation_p", "p of the label permutation", None, theme=CONTROLS),
        Column("shortcut_auc", "shortcut AUC", None, theme=CONTROLS),
        Column("shortcut_p", "shortcut p", None, theme=CONTROLS),
        Column("bytes_per_frame_auc", "bytes-per-frame AUC", None, theme=CONTROLS),
    ),
    "perceptual": (
        Column("preference", "chosen", True, short="chosen"),
        Column("bradley_terry", "Bradley-Terry, logits", True, ".2f", short="Bradley-Terry"),
        Column("jod", "JOD", True, ".2f", short="JOD"),
        Column("taken_for_real", "taken for real", True, short="taken for real"),
        Column("d_prime", "d' against reals", False, ".2f", short="d'"),
    ),
}  # fmt: skip
"""The kinds that have a leaderboard, and their columns; the first is the primary metric where none leads."""
BESIDE_A_LEADING: Final = {"pair_accuracy": _PAIR}
"""Main columns that give way to a leading one, and the themes under which they stand then."""
CSV_ALONE: Final = {"background_flicker", "background_flicker_real", "warp_error", "warp_error_real"}
"""Metrics that no table shows: their ratios say more."""
