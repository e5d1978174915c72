"""Failures on purpose, by which the campaign's own test sees that each kind is told."""

from __future__ import annotations

import os
import signal
import time

from fuzz.judge import Verdict


def run_planted(what: str) -> Verdict:
    """End as `what` says."""
    if what == "hang":
        time.sleep(600)
    if what == "hog":
        held = b"\1" * 1_000_000_000
        return Verdict("ok", f"{len(held)} bytes")
    if what == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    return Verdict("ok", f"process {os.getpid()}")
