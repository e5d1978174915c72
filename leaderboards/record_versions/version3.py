"""Records before version 4: every detection run was of one protocol, that of `bench detect --holdout`."""

from __future__ import annotations

from typing import Final

HOLDOUT_PROTOCOL: Final = {
    "name": "table-5",
    "sha256": "853ffbec4f979d43d5639ef6833d96132359b7e08dc7605ad5964a8e85f42fcf",
}
"""The protocol `table-5` as it was first written down; it says what `bench detect --holdout` did from the start."""
