"""From features to vectors: each feature standardised, then the whole brought to length 1. Pure.

Without the first the flags drown the prices; with the second the cosine of two cases is their product.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from heliograph.common.ids import derive_id
from heliograph.common.patterns import FEATURES

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]

SIZE = len(FEATURES)


class Scaler(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the standardisation.

    Attributes:
        version: derived from the cases that it was fitted on, 16 hex digits.
        until: event time of the newest of them: it may serve queries later than this and no others.
        cases: how many they were.
        mean: of each feature; `scale` its standard deviation, 1 for a constant one.
    """

    version: str
    until: int
    cases: int
    mean: list[float]
    scale: list[float]

    def vectors(self, features: npt.ArrayLike) -> Vectors:
        """Vectors of length 1 of features, shape (n, 16); one that is all mean stays 0, like no other."""
        standard = (np.asarray(features, np.float64).reshape(-1, SIZE) - self.mean) / self.scale
        length = np.linalg.norm(standard, axis=1, keepdims=True)
        return np.asarray(standard / np.where(length > 0, length, 1.0), np.float32)


def fit(features: Floats, until: int) -> Scaler:
    """The standardisation by the mean and the standard deviation of each feature; shape (n, 16), n ≥ 1."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    # Of a constant feature mean and deviation have rounding errors, which would count for something.
    constant = (features == features[0]).all(axis=0)
    mean = np.where(constant, features[0], mean)
    scale = np.where(constant | (deviation == 0), 1.0, deviation)
    return Scaler(
        version=derive_id("scaler", until, len(features), mean.tobytes().hex(), scale.tobytes().hex()),
        until=until,
        cases=len(features),
        mean=mean.tolist(),
        scale=scale.tolist(),
    )
