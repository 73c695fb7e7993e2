"""The page of solutions: every exercise of every chapter is on it, once, and leads to its place."""

import re
from pathlib import Path

import pytest
from _mini_book import build, chapter, text_of
from _project import CHAPTERS
from chapters import Chapter, read_chapter
from solutions_page import exercises_in

PAGE = "# Solutions\n\n```{solutions}\n```\n"
EXERCISES = """## Exercises

### Exercise 3.1: add `a` and $b$

★☆☆, 5 minutes. Add.
"""
FOLDED = """<details class="hint"><summary>Hint 1</summary>

The hint stays in the chapter.

</details>
<details class="solution"><summary>Solution</summary>

```python
def total(a, b):
    return a + b
```

As in [the text](#adding).

</details>

### Exercise 3.10: the last

★★★, 25 minutes. Think."""
THOUGHT = '<details class="solution"><summary>Solution</summary>\n\nIt is $a + b$.\n\n</details>\n\n## Next'
CELLS = ["# 3. Sums\n\n## Adding\n\nText.", EXERCISES, ("total = None", ""), FOLDED, ("answer = None", ""), THOUGHT]


def test_exercises_are_read() -> None:
    first, last = exercises_in("\n\n".join(cell for cell in CELLS if isinstance(cell, str)), "03_sums.ipynb")
    assert (first.number, first.title, first.price) == ("3.1", "add `a` and $b$", "★☆☆, 5 minutes")
    assert (last.number, last.title, last.price) == ("3.10", "the last", "★★★, 25 minutes")
    assert "return a + b" in first.solution
    assert "hint" not in first.solution
    assert "](03_sums.ipynb#adding)" in first.solution  # the solutions stand on another page than the chapter
    assert "return a + b" not in last.solution


@pytest.mark.parametrize(
    "made", [made for path in CHAPTERS if (made := read_chapter(path, path.stem))], ids=lambda made: made.docname
)
def test_every_exercise_of_a_chapter_has_what_the_page_shows(made: Chapter) -> None:
    exercises = exercises_in("\n\n".join(made.sources("markdown")))
    headings = [
        number for text in made.sources("markdown") for number in re.findall(r"^### Exercise (\S+):", text, re.M)
    ]
    assert [exercise.number for exercise in exercises] == headings
    for exercise in exercises:
        assert exercise.title, exercise.number
        assert exercise.price, exercise.number
        assert exercise.solution, exercise.number


def test_page_is_built_and_leads_to_the_exercises(tmp_path: Path) -> None:
    appendix = chapter("# A. More sums", "## Exercises\n\n### Exercise A.1: more", ("answer = None", ""), THOUGHT)
    pages = {
        "a_more.ipynb": appendix,
        "03_sums.ipynb": chapter(*CELLS),
        "04_no_exercises.ipynb": chapter("# 4. None"),
        "solutions.md": PAGE,
    }
    done = build(tmp_path, pages, ["solutions_page"])
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "html" / "book" / "solutions.html").read_text(encoding="utf-8")
    links = dict(
        re.findall(r'<h3><a class="reference internal" href="([^"]+)"[^>]*>(.*?)</a><a class="headerlink"', html)
    )
    assert {text_of(title): address for address, title in links.items()} == {
        r"Exercise 3.1: add a and \(b\)": "03_sums.html#exercise-3-1-add-a-and-b",
        "Exercise 3.10: the last": "03_sums.html#exercise-3-10-the-last",
        "Exercise A.1: more": "a_more.html#exercise-a-1-more",
    }
    for page, anchor in [address.split("#") for address in links]:
        assert f'id="{anchor}"' in (tmp_path / "html" / "book" / page).read_text(encoding="utf-8")
    assert html.count('<details class="solution">') == html.count("</details>") == 3
    assert 'href="03_sums.html#adding"' in html
    assert "★☆☆, 5 minutes" in html
    assert "The hint stays" not in html
    # Appendices come last; chapter 4 has nothing to solve.
    assert re.findall("<h2>([^<]*)<a", html) == ["3. Sums", "A. More sums"]


def test_an_exercise_without_a_heading_of_its_own_fails_the_build(tmp_path: Path) -> None:
    # The page finds a heading in the Markdown; what Sphinx shows there is a line of a quotation.
    quoted = chapter("# 3. Sums", "```\n### Exercise 3.1: in a block of code\n```")
    done = build(tmp_path, {"03_sums.ipynb": quoted, "solutions.md": PAGE}, ["solutions_page"])
    assert done.returncode != 0
    assert "'exercise' reference target not found: 3.1" in done.stderr
