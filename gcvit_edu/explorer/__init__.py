"""The interactive attention explorer: one self-contained piece of HTML that needs neither a kernel nor a network."""

from gcvit_edu.explorer.page import Explorer, explore

__all__ = ["Explorer", "explore"]
