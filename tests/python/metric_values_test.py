"""Metrics of every kind become numbers, or an error that says what they are."""

from __future__ import annotations

import decimal
import fractions
import unittest

import numpy as np

from ckptd.internal.metric_values import is_integer, to_number, to_numbers


class Tensor:
    """What PyTorch's, TensorFlow's and JAX's have in common."""

    def __init__(self, values: object) -> None:
        self._values = np.asarray(values)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._values.shape

    def numpy(self) -> object:
        return self._values


class MetricValues(unittest.TestCase):
    def test_scalars_become_numbers(self) -> None:
        for value, expected in (
            (3, 3),
            (True, 1),
            (0.5, 0.5),
            (np.float32(0.5), 0.5),
            (np.int64(7), 7),
            (np.bool_(True), 1),
            (np.array(2.5), 2.5),
            (np.array([2.5]), 2.5),
            (np.array([[4]]), 4),
            (fractions.Fraction(1, 4), 0.25),
            (Tensor(1.5), 1.5),
            (Tensor([2]), 2),
        ):
            with self.subTest(value=repr(value)):
                number = to_number("m", value)
                self.assertEqual(number, expected)
                self.assertIs(type(number), type(expected))

    def test_what_is_no_scalar_is_named(self) -> None:
        for value, words in (
            (np.zeros(3), r"'m' is a numpy.ndarray of shape \(3,\); a metric is one number"),
            (np.zeros((2, 0)), r"shape \(2, 0\)"),
            (Tensor([1, 2]), r"Tensor of shape \(2,\)"),
            ("0.5", "'m' is a builtins.str, which is no number"),
            (None, "NoneType"),
            ([1.0], "builtins.list"),
            (np.complex64(1), "no real number"),
            (decimal.Decimal("0.5"), "decimal.Decimal"),
            (10**400, "'m' is a whole number beyond every float"),
        ):
            with self.subTest(value=repr(value)), self.assertRaisesRegex(TypeError, words):
                to_number("m", value)

    def test_logs_are_a_dict_or_none(self) -> None:
        self.assertEqual(to_numbers(None), {})
        self.assertEqual(to_numbers({7: np.float32(0.5)}), {"7": 0.5})  # type: ignore[dict-item]
        with self.assertRaisesRegex(TypeError, "logs is a builtins.list, not a dict"):
            to_numbers([0.5])  # type: ignore[arg-type]

    def test_only_whole_numbers_that_fit_travel_as_such(self) -> None:
        for value, expected in ((1, True), (1.0, False), (2**63 - 1, True), (2**63, False)):
            self.assertEqual(is_integer(value), expected, value)


if __name__ == "__main__":
    unittest.main()
