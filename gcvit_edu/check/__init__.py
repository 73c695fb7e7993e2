"""Checkers for the book's exercises, a module for each chapter. Each says what is wrong, where it can tell.

from gcvit_edu.check import ch05
ch05.merge(my_function)
"""

from gcvit_edu.check.proof import proof_card
from gcvit_edu.check.verdict import Verdict

__all__ = ["Verdict", "proof_card"]
