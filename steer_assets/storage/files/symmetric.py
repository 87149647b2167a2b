"""Symmetric matrices as their upper triangles, row after row: half the numbers, the same bits.

A form of width d is the largest thing that a trait keeps (36 covariances, 21 scatter matrices and
10 forms in the study `quick`), and each is symmetric to the last bit. Nothing here rounds: a matrix
that differs from its transpose in one bit is not packed.
"""

import numpy as np


def is_symmetric(array: np.ndarray) -> bool:
    """Whether `array` is a square matrix of floats, equal to its transpose bit by bit."""
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.dtype.kind != "f":
        return False
    bits = array.view(np.dtype(f"u{array.dtype.itemsize}"))
    return all(np.array_equal(bits[i, i:], bits[i:, i]) for i in range(len(bits)))


def packed(matrix: np.ndarray) -> np.ndarray:
    """The upper triangle [d (d + 1) / 2] of a symmetric matrix [d, d], row after row."""
    return np.concatenate([matrix[i, i:] for i in range(len(matrix))])


def unpacked(triangle: np.ndarray, width: int) -> np.ndarray:
    """The symmetric matrix [width, width] whose upper triangle is given.

    Raises:
        ValueError: the triangle has another length.
    """
    if triangle.shape != (width * (width + 1) // 2,):
        raise ValueError(f"a triangle of {triangle.shape} numbers is none of width {width}")
    matrix = np.empty((width, width), triangle.dtype)
    end = 0
    for i in range(width):
        start, end = end, end + width - i
        matrix[i, i:] = matrix[i:, i] = triangle[start:end]
    return matrix
