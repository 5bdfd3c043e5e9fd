"""One writer at a time, also after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from deepchem_ead.errors import InUseError
from deepchem_ead.locks import hold, lock_file

# The library itself, because the package takes seconds to import.
HOLDER = """
import os, sys
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
open(sys.argv[1], "w").write(f"{os.getpid()} on elsewhere")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["file", "new file", "folder", "link"])
def path(request, tmp_path):
    path = tmp_path / "out.sdf"
    if request.param in ("file", "link"):
        path.write_text("")
    if request.param == "folder":
        path.mkdir()
    if request.param == "link":
        (tmp_path / "other").symlink_to(path)
    return path


def other_process(path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock_file(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    return holder


def test_one_process_at_a_time_and_a_kill_blocks_nobody(path, tmp_path):
    # A link leads to the same file.
    link = tmp_path / "other"
    holder = other_process(link if link.exists() else path)
    try:
        there = rf"out\.sdf is in use: another process \({holder.pid} on elsewhere\) is drawing\."
        with pytest.raises(InUseError, match=there):
            with hold(path, "drawing"):
                pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert lock_file(path).exists()
        with hold(path, "drawing"):
            assert lock_file(path).exists()
        assert not lock_file(path).exists()
    finally:
        holder.kill()
        holder.communicate()


def test_a_holder_may_hold_again_and_an_error_frees(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(ZeroDivisionError):
        with hold(path, "writing"):
            with hold(path, "writing"):
                pass
            assert lock_file(path).exists()
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_many_who_wait_come_one_after_another(tmp_path):
    path = tmp_path / "counter"
    path.write_text("0")

    def count(_):
        with hold(path, "counting", wait=-1):
            value = int(path.read_text())
            path.write_text("")
            path.write_text(str(value + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(40)))
    assert path.read_text() == "40"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_place_is_named_as_the_user_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.out\.sdf'"):
        with hold(tmp_path / "none" / "out.sdf", "writing"):
            pass
