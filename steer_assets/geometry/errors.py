"""Errors for geometric quantities that are not defined.

All are `ValueError`s, so that a caller may catch one or all. An undefined quantity raises instead
of returning NaN, so that tables downstream contain only numbers.
"""


class GeometryError(ValueError):
    """Base class of the errors of this package."""


class ShapeError(GeometryError):
    """Two sizes that must be equal are not; the message has both."""


class NotFiniteError(GeometryError):
    """The input contains NaN or infinity."""


class TooFewSamplesError(GeometryError):
    """Fewer samples than the quantity needs; the message has both numbers."""


class DegenerateError(GeometryError):
    """The input has no defined direction: zero vector, constant activations, empty subspace."""


class VectorFileError(GeometryError):
    """A vector file is damaged or of another kind, or its format cannot store the vectors."""
