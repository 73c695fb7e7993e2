"""python -m gcvit_edu.explore PICTURE --out PAGE.html: the attention explorer of one's own picture.

`gcvit_edu.explore` is a function. So that it stays one after every order of imports, importing this file gives it, too.
"""

import sys

from gcvit_edu.explorer import explore

if __name__ == "__main__":
    from gcvit_edu.console import run_command
    from gcvit_edu.explorer.command import main

    sys.exit(run_command(main))
sys.modules[__name__] = explore  # type: ignore[assignment]  # what the import statement then binds
