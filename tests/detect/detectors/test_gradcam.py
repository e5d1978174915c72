"""Saliency by Grad-CAM."""

import numpy as np
import torch
from torch import Tensor

from dancebench.detect.detectors._gradcam import FeatureMapNetwork, grad_cam
from dancebench.detect.detectors.pair_patch import PairPatch, PairPatchConfig


class Tiny(FeatureMapNetwork):
    """The feature maps are the input; the logit is the weighted sum of their means."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = torch.tensor(weights)

    def feature_maps(self, inputs: Tensor) -> Tensor:
        return inputs.clone()

    def classify(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3)) @ self.weights


# --- closed form


def test_closed_form_the_weighted_sum_of_the_maps_where_it_is_positive() -> None:
    maps = torch.tensor([[[[1.0, 0.0], [2.0, 4.0]], [[0.0, 1.0], [0.0, 3.0]]]])  # (1, 2, 2, 2)
    saliency = grad_cam(Tiny(2.0, -1.0), maps)  # 2 a - b: 2, -1, 4, 5
    np.testing.assert_allclose(saliency, np.array([[[2, 0], [4, 5]]]) / 5, atol=1e-6)


def test_closed_form_a_small_map_is_upscaled_to_the_input() -> None:
    class Coarse(Tiny):
        def feature_maps(self, inputs: Tensor) -> Tensor:
            return torch.nn.functional.avg_pool2d(inputs, 4)

    image = torch.zeros(1, 1, 16, 8)
    image[0, 0, 12:, 4:] = 1
    saliency = grad_cam(Coarse(1.0), image)
    assert saliency.shape == (1, 16, 8)
    assert saliency[0, -1, -1] == 1
    assert saliency[0, :8].max() == 0


def test_without_evidence_for_a_fake_the_map_is_zero_and_not_nan() -> None:
    saliency = grad_cam(Tiny(-1.0), torch.ones(2, 1, 4, 4))
    np.testing.assert_array_equal(saliency, np.zeros((2, 4, 4), np.float32))


# --- laws


def test_each_map_of_pair_patch_depends_on_its_own_pair_and_has_maximum_one() -> None:
    detector = PairPatch(PairPatchConfig(height=32, width=48, ndf=4))
    pairs = np.random.default_rng(0).integers(0, 256, (18, 2, 32, 48, 3), dtype=np.uint8)
    saliency = detector.saliency(pairs)
    assert saliency is not None
    assert saliency.shape == (18, 32, 48)
    assert saliency.dtype == np.float32
    assert saliency.min() >= 0
    assert set(saliency.max(axis=(1, 2)).round(6)) <= {0.0, 1.0}
    alone = detector.saliency(pairs[17:])
    assert alone is not None
    np.testing.assert_allclose(saliency[17:], alone, atol=1e-4)
    assert detector.saliency(pairs[:0]).shape == (0, 32, 48)  # type: ignore[union-attr]
    assert all(parameter.grad is None for parameter in detector.network.parameters())
