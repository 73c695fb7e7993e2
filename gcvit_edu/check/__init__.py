"""Checkers for the book's exercises. Each says what is wrong, where it can tell.

from gcvit_edu.check import ch05
ch05.merge(my_function)
"""

from gcvit_edu.check import ch01, ch02, ch03, ch04, ch05, ch06, ch07, ch08, ch09, ch10, ch11, ch12, ch13, ch14
from gcvit_edu.check.proof import proof_card
from gcvit_edu.check.verdict import Verdict

__all__ = [
    "Verdict",
    "ch01",
    "ch02",
    "ch03",
    "ch04",
    "ch05",
    "ch06",
    "ch07",
    "ch08",
    "ch09",
    "ch10",
    "ch11",
    "ch12",
    "ch13",
    "ch14",
    "proof_card",
]
