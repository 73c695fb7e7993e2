"""Interactive attention: self-contained pieces of HTML that need neither a kernel nor a network."""

from gcvit_edu.explorer.page import Explorer, explore
from gcvit_edu.explorer.timeline import Timeline, timeline

__all__ = ["Explorer", "Timeline", "explore", "timeline"]
