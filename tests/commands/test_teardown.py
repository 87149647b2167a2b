"""Messages printed while the interpreter is torn down are dropped; those of handlers are kept."""

from tests.storage.processes import run_python

_LAST_WORDS = """
import atexit, os
from steer_assets import cli

class Late:
    def __del__(self, write=os.write):
        write(1, b"torn down, ")
        write(2, b"leaked")

late = Late()
atexit.register(os.write, 2, b"handled")
"""


def test_messages_of_teardown_are_dropped_and_those_of_handlers_are_kept():
    answer = run_python(_LAST_WORDS)
    assert answer.stdout == "torn down, "
    assert answer.stderr == "handled"
