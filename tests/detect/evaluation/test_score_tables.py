"""Score tables as they are recorded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from dancebench.detect.evaluation.score_tables import ScoreTables


class Doubling:
    """A calibration whose likelihood ratio is twice the score."""

    def llr(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return 2 * np.asarray(scores, np.float64)


def test_closed_form_videos_are_recorded_with_their_likelihood_ratios() -> None:
    pairs = pd.DataFrame({"video_id": ["a", "a"], "t": [0.0, 0.1], "logit": [1.0, 2.0]})
    videos = pd.DataFrame({"video_id": ["a", "b"], "score": [1.5, np.nan], "status": ["ok", "failed"]})
    tables = ScoreTables(pairs, videos)
    joined = tables.join_levels(Doubling())  # type: ignore[arg-type]
    assert joined["level"].tolist() == ["video", "video", "pair", "pair"]
    np.testing.assert_array_equal(joined["llr"], [3.0, np.nan, np.nan, np.nan])
    assert "llr" not in tables.join_levels()
    assert "llr" not in tables.videos
