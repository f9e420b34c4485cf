"""The few lines of a test runner that the checks of the chart and the image share. It reports like cargo."""

import sys
import traceback

_tests = []


def test(function):
    _tests.append(function)
    return function


def main():
    failures = {}
    print(f"\nrunning {len(_tests)} tests")
    for function in _tests:
        try:
            function()
        except Exception:
            failures[function.__name__] = traceback.format_exc()
        print(f"test {function.__name__} ... {'FAILED' if function.__name__ in failures else 'ok'}", flush=True)
    for name, failure in failures.items():
        print(f"\n---- {name} ----\n{failure}")
    print(f"\ntest result: {'FAILED' if failures else 'ok'}. {len(_tests) - len(failures)} passed; "
          f"{len(failures)} failed; 0 ignored; 0 measured; 0 filtered out\n")
    sys.exit(1 if failures else 0)
