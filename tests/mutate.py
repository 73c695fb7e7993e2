"""Changes one thing in the package or in a chapter, and expects a test or a proof card to turn red.

    python tests/mutate.py               # or: make mutants
    python tests/mutate.py --list
    python tests/mutate.py --only scale --only stride-of-the-pooling

Nothing is changed in place: every mutant is a copy of the project in a temporary folder. A mutant that survives
shows that no test looks there. First the same tests run without a change: only what is green can turn red.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "book" / "_ext"))  # pytest has it from pyproject.toml

from _mutants import MUTANTS, Mutant
from _project import ROOT, code_cells, project_files, read_notebook

JOBS = min(4, os.cpu_count() or 1)  # every run gets one thread: so many small runs are faster side by side
SECONDS_PER_RUN = 600
WRONG_PACKAGE = 70  # none of pytest's exit codes
# Goes before every run. An installed gcvit_edu must not be tested in place of the changed one.
GUARD = f"""
import sys
from pathlib import Path
import gcvit_edu
if Path(gcvit_edu.__file__).resolve().parents[1] != Path(sys.argv[1]):
    print("imported", gcvit_edu.__file__)
    sys.exit({WRONG_PACKAGE})
"""


class StaleMutantError(Exception):
    """A mutant whose old text no longer stands exactly once in its file."""


def sources(path: Path) -> list[str]:
    """The text of a module, or of each code cell of a chapter."""
    if path.suffix == ".ipynb":
        return [cell.source for _, cell in code_cells(read_notebook(path))]
    return [path.read_text(encoding="utf-8")]


def mutated(mutant: Mutant, root: Path) -> str:
    """The changed module, or the changed chapter as a script.

    Raises:
        StaleMutantError: if the old text does not stand there exactly once.
    """
    texts = sources(root / mutant.file)
    found = sum(text.count(mutant.old) for text in texts)
    if found != 1:
        raise StaleMutantError(
            f"{mutant.name} is stale: {mutant.old!r} stands {found} times in {mutant.file}, not once; "
            "adapt the mutant to the new text"
        )
    return as_script([text.replace(mutant.old, mutant.new) for text in texts])


def as_script(texts: list[str]) -> str:
    return "\n\n".join(texts)


# ------------------------------------------------------------------------------------------------- running them


@dataclass(frozen=True)
class Result:
    """How a run ended: "killed" with what turned red, "SURVIVED", or "ERROR" with what the run said."""

    outcome: str
    by: str = ""
    seconds: float = 0.0
    said: str = ""


def copy_project(folder: Path) -> None:
    """Every file that git tracks or would track."""
    for path in project_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / path)


def run(root: Path, folder: Path, code: str, *arguments: str) -> tuple[int, str, float]:
    """Exit code, output and seconds of Python code, run in a folder of the copy of the project at root."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    # No bytecode: two versions of a file, written in the same second, could share it.
    env |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    start = time.perf_counter()
    command = [sys.executable, "-c", GUARD + code, str(root), *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS_PER_RUN,
        )
    except subprocess.TimeoutExpired:
        return -1, f"still running after {SECONDS_PER_RUN} seconds", float(SECONDS_PER_RUN)
    return done.returncode, done.stdout, time.perf_counter() - start


def run_tests(root: Path, tests: tuple[str, ...]) -> Result:
    """Pytest's exit code 1 with a failed test is a kill; every other code but 0 means that the run went wrong."""
    code, said, seconds = run(root, root, "import pytest\nsys.exit(pytest.main(sys.argv[2:]))", "-x", "-q", *tests)
    failed = re.search(r"^FAILED (.+?)(?: - .*)?$", said, re.MULTILINE)
    if code == 0:
        return Result("SURVIVED", seconds=seconds)
    if code == 1 and failed:
        return Result("killed", failed[1].removeprefix("tests/"), seconds)
    return Result("ERROR", f"exit code {code}, no failed test", seconds, said)


def run_chapter(root: Path, chapter: str, script: str) -> Result:
    """A chapter's code cells as a script; only a proof card that fails is a kill."""
    path = (root / chapter).with_suffix(".py")
    path.write_text(script, encoding="utf-8")
    code, said, seconds = run(root, path.parent, "import runpy\nrunpy.run_path(sys.argv[2])", path.name)
    differ = re.search(r"^AssertionError: (.+ differ from .+)$", said, re.MULTILINE)
    if code == 0 and "Proof card:" in said:
        return Result("SURVIVED", seconds=seconds)
    if code == 1 and differ:
        return Result("killed", f"proof card: {differ[1]}", seconds)
    return Result("ERROR", f"exit code {code}, and no proof card failed", seconds, said)


def examine(mutant: Mutant, original: Path) -> Result:
    """Apply a mutant to a copy of the project and run what must turn red."""
    changed = mutated(mutant, original)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "project"
        shutil.copytree(original, root)
        if not mutant.tests:
            return run_chapter(root, mutant.file, changed)
        (root / mutant.file).write_text(changed, encoding="utf-8")
        return run_tests(root, mutant.tests)


def without_a_change(mutants: list[Mutant], original: Path) -> Iterator[tuple[str, Result]]:
    """The same tests and chapters as they are, by name; "SURVIVED" is what each should be."""
    tests = tuple(sorted({test for mutant in mutants for test in mutant.tests}))
    chapters = sorted({mutant.file for mutant in mutants if not mutant.tests})
    with ThreadPoolExecutor(JOBS) as pool:
        runs = {"the tests": pool.submit(run_tests, original, tests)} if tests else {}
        for chapter in chapters:
            runs[chapter] = pool.submit(run_chapter, original, chapter, as_script(sources(original / chapter)))
        for name, future in runs.items():
            yield name, future.result()


def report(mutants: list[Mutant]) -> int:
    """Examine mutants and print a table; 0 if each was killed."""
    for mutant in mutants:
        mutated(mutant, ROOT)  # a stale one is reported before anything runs
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder).resolve() / "original"
        copy_project(original)
        for name, result in without_a_change(mutants, original):
            if result.outcome != "SURVIVED":
                print(f"without any change, {name} fail: {result.by}\n{result.said}", file=sys.stderr)
                return 1
            print(f"without any change, {name} pass ({result.seconds:.0f} s)", flush=True)
        width = max(len(mutant.name) for mutant in mutants)
        results = []
        with ThreadPoolExecutor(JOBS) as pool:
            for mutant, result in zip(
                mutants, pool.map(lambda mutant: examine(mutant, original), mutants), strict=True
            ):
                shown = result.by if result.outcome == "killed" else f"{result.outcome} {result.by}"
                print(f"{mutant.name:<{width}}  {result.seconds:5.1f} s  {shown}", flush=True)
                if result.said:
                    print(textwrap.indent(result.said[-2000:], "    "))
                results.append(result)
    killed = sum(result.outcome == "killed" for result in results)
    print(f"{killed} of {len(results)} mutants were killed")
    return 0 if killed == len(results) else 1


def main(arguments: list[str]) -> int:
    """0 if every mutant was killed, 1 if one survived or could not be run."""
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    parser = argparse.ArgumentParser(description="Change one thing at a time, and expect a test to turn red.")
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    parser.add_argument(
        "--only", action="append", choices=by_name, metavar="NAME", help="run this one; may be repeated"
    )
    options = parser.parse_args(arguments)
    chosen = [by_name[name] for name in options.only or by_name]
    if options.list:
        for mutant in chosen:
            print(f"{mutant.name}: {mutant.file}\n    - {mutant.old!r}\n    + {mutant.new!r}")
        return 0
    try:
        return report(chosen)
    except StaleMutantError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
