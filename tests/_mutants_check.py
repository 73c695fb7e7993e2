"""The mutants of the exercises' checkers, as (file, tests, changes), each change (name, old, new)."""

CHECKERS = (
    (
        "gcvit_edu/check/verdict.py",
        "test_check.py",
        ("truth-of-a-verdict", "        return self.right\n", "        return True\n"),
        ("length-of-a-verdict", "len(lines) > LINES or", "len(lines) > 9 * LINES and"),
        ("cases-after-the-first", "        if not verdict:\n", "        if not verdict and not tried:\n"),
        ("precision-of-numbers", "rel_tol=relative", "rel_tol=1e-9"),
        ("precision-of-what-is-measured", "abs(answer - expected) < difference", "abs(answer - expected) < 1e-9"),
        ("booleans-that-are-wanted", "if isinstance(wanted, bool):", "if False:"),
    ),
    (
        "gcvit_edu/check/verdict.py",
        "test_check_forbidden.py",
        ("forbidden-functions", "            if verdict and used:\n", "            if verdict and not used:\n"),
        ("diagnosis-before-the-forbidden", "            if verdict and used:\n", "            if used:\n"),
    ),
    (
        "gcvit_edu/check/forbidden.py",
        "test_check_forbidden.py",
        ("own-functions-names", "{package, name, f", '{package, f"torch.{name}", name, f'),
        ("calls-of-builtin-functions", 'event == "c_call"', 'event == "c_return_of"'),
        ("loops-that-are-noticed", '"BACKWARD" in step.opname', '"ABSOLUTE" in step.opname'),
        ("the-profiler-of-before", "sys.setprofile(before)", "sys.setprofile(None)"),
        ("steps-that-are-counted", "self.calls += 1", "self.calls = 1"),
    ),
    (
        "gcvit_edu/check/answers.py",
        "test_check.py",
        ("arguments-that-are-copied", "given if copies else", "given if not copies else"),
        ("numbers-in-tensors", "isinstance(answer, Tensor) and answer.numel() == 1:\n", "False:\n"),
    ),
    (
        "gcvit_edu/check/answers.py",
        "test_check_odd.py",
        ("readers-who-end-python", "except BaseException as error:", "except Exception as error:"),
        ("readers-who-stop", "except KeyboardInterrupt:", "except GeneratorExit:"),
        ("a-stub-or-an-error", "and not error.args:", "and True:"),
        ("numbers-that-are-none", "if math.isnan(as_float):", "if False:"),
        ("tensors-without-values", "if answer.is_meta:", "if False:"),
        ("tensors-in-a-message", "torch.nn.Module | dict):", "torch.nn.Module):"),
    ),
    (
        "gcvit_edu/check/ch06.py",
        "test_check_few_cases.py",
        ("cases-of-the-share", "(3, 5), (3, 4), (4, 6), (6, 4), (5, 5), (7, 2)]", "(3, 5)]"),
        ("cases-of-the-heads", "(1, 3, 4, 2), (3, 1, 4, 4), (2, 5, 2, 1), (5, 4, 1, 3)", "(2, 2, 3, 3)"),
    ),
    (
        "gcvit_edu/check/ch09.py",
        "test_check.py::test_weights_of_another_size_are_named_and_the_network_is_not_printed",
        ("tables-of-another-size", '"size mismatch": "The', '"other size": "The'),
    ),
    (
        "gcvit_edu/check/ch09.py",
        "test_check.py::test_a_mask_of_whole_numbers_is_not_boolean",
        ("masks-of-whole-numbers", "if real.dtype != torch.bool:", "if real.is_floating_point():"),
    ),
)
