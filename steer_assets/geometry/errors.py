"""Named reasons for which a geometric quantity is refused.

All are `ValueError`s, so that a caller may catch one or all. A refused quantity never comes out as
NaN: tables downstream hold numbers only.
"""


class GeometryError(ValueError):
    """Base class of every refusal of this room."""


class ShapeError(GeometryError):
    """Two sizes that must agree do not; the message names both."""


class NotFiniteError(GeometryError):
    """The input holds NaN or infinity."""


class TooFewSamplesError(GeometryError):
    """Fewer samples than the quantity needs; the message names both numbers."""


class DegenerateError(GeometryError):
    """The input has no direction to speak of: zero vector, constant activations, empty subspace."""


class VectorFileError(GeometryError):
    """A vector file is damaged, holds something else, or cannot hold what it is asked to."""
