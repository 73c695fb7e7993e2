"""The interactive attention explorer: one self-contained piece of HTML that needs neither a kernel nor a network."""

from gcvit_edu.explorer.explore import BOOK_LINK, LIMIT_KB, Explorer, explore

__all__ = ["BOOK_LINK", "LIMIT_KB", "Explorer", "explore"]
