"""Programs that a test drives and a machine may lack: a browser, other languages, other people's verifiers."""

import os
import shutil

import pytest


def need(*names: str) -> str:
    """The path of the first of these programs that is here.

    Where none is, the test is skipped; where CI is set it fails, since `.ci/run` installs them all.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    lacking = f"{' or '.join(names)} is not on this machine"
    if os.environ.get("CI"):
        pytest.fail(f"{lacking}, and .ci/run installs it")
    pytest.skip(lacking)
