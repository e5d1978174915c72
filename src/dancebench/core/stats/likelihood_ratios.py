"""Figures of labelled likelihood ratios that detection runs record and reports draw.

label 1 = fake, 0 = real; ratios are fake : real, as natural logarithms. Both kinds weigh the same, however many items
they have. Empirical cross-entropy is never shortened to ECE, which elsewhere is the expected calibration error.

References: Zadrozny and Elkan, Transforming classifier scores into accurate multiclass probability estimates, KDD 2002;
Ramos and Gonzalez-Rodriguez, Reliable support: measuring calibration of likelihood ratios, Forensic Science
International 230 (2013).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import logit
from scipy.stats import rankdata
from sklearn.isotonic import IsotonicRegression

Array = npt.NDArray[np.float64]


def weigh_classes(labels: npt.NDArray[np.generic]) -> Array:
    """Weights (N,) that sum to one half in each class; both are there."""
    fakes = int((labels == 1).sum())
    return np.where(labels == 1, 0.5 / fakes, 0.5 / (len(labels) - fakes))


def pool_adjacent_violators(labels: npt.ArrayLike, llrs: npt.ArrayLike) -> Array:
    """Compute the isotonic regression (N,) in [0, 1] of the labels on the ratios, at even prior, of both classes."""
    labels = np.asarray(labels)
    ranks = rankdata(np.asarray(llrs, np.float64), method="dense")
    regression = IsotonicRegression(y_min=0, y_max=1)
    return np.asarray(regression.fit_transform(ranks, labels, sample_weight=weigh_classes(labels)), np.float64)


def pav_llr(labels: npt.ArrayLike, llrs: npt.ArrayLike) -> Array:
    """Map ratios (N,) to those of pooled adjacent violators at even prior; infinite where a block is of one kind."""
    with np.errstate(divide="ignore"):
        return np.asarray(logit(pool_adjacent_violators(labels, llrs)), np.float64)


def empirical_cross_entropy(labels: npt.ArrayLike, llrs: npt.ArrayLike, log10_odds: npt.ArrayLike) -> Array:
    """Compute the empirical cross-entropy in bits at each of the prior odds fake : real (P,).

    With prior P(fake) = p it is p · mean over fakes of -log2 P(fake | ratio) + (1 - p) · mean over reals of
    -log2 P(real | ratio). At even odds it is Cllr; of ratios of 1 it is the entropy of the prior.

    Args:
        labels: (N,), 1 = fake, 0 = real; both are there.
        llrs: (N,) natural logarithms; infinite ones on the right side are allowed.
        log10_odds: (P,) powers of ten.
    """
    labels, llrs = np.asarray(labels), np.asarray(llrs, np.float64)
    odds = math.log(10) * np.asarray(log10_odds, np.float64)[:, None]  # (P, 1)
    of_fakes = np.logaddexp(0, -odds - llrs[labels == 1]).mean(axis=1)
    of_reals = np.logaddexp(0, odds + llrs[labels == 0]).mean(axis=1)
    prior = 1 / (1 + np.exp(-odds[:, 0]))
    return np.asarray((prior * of_fakes + (1 - prior) * of_reals) / math.log(2), np.float64)
