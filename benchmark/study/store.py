"""Where answers are kept: one SQLite file of a study, in which a trial is one row and is answered once.

An answer is acknowledged when it is on the disk (WAL, full synchronisation): a process that is killed loses none, and
one that is sent again is the same row. Accepted is not used: nothing is judged here. Secrets are kept as hashes; no
address of a rater is ever known here. What is erased is overwritten.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from dancebench.benchmark.study.design import PlannedTrial, choose_items, draw_order, plan_block
from dancebench.benchmark.study.records import StudyRecord
from dancebench.core.errors import BenchError

SCHEMA_VERSION: Final = 1
RaterState = Literal["active", "finished", "screened"]
ABANDONED: Final = timedelta(hours=2)
"""After so long without an answer a rater's open trials are free for others."""
MAX_REPLACEMENTS: Final = 3
"""Trials that take the place of those whose video failed, for each rater."""
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS raters (
  id TEXT PRIMARY KEY, secret_sha256 TEXT NOT NULL UNIQUE, panel_id TEXT UNIQUE, panel TEXT NOT NULL,
  number INTEGER NOT NULL, enrolled TEXT NOT NULL, seen TEXT NOT NULL, state TEXT NOT NULL, screen TEXT NOT NULL,
  comment TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS trials (
  rater TEXT NOT NULL REFERENCES raters (id) ON DELETE CASCADE, position INTEGER NOT NULL, item TEXT NOT NULL,
  shown_order TEXT NOT NULL, state TEXT NOT NULL, reason TEXT, answers TEXT, log TEXT, stored TEXT,
  PRIMARY KEY (rater, position)
) STRICT, WITHOUT ROWID;
"""


class Rater(NamedTuple):
    """Someone who answers."""

    id: str
    number: int
    state: RaterState
    panel: dict[str, str]
    screen: dict[str, Any]
    enrolled: str
    comment: str | None


class Trial(NamedTuple):
    """One trial of a rater.

    Attributes:
        order: Of the item's clips, as they are shown.
        state: `open`, `answered`, or `void` where a video failed.
        answers: By question, the answer as it was given; None unless answered.
        log: What the page measured; None unless answered.
    """

    rater: str
    position: int
    item: str
    order: tuple[int, ...]
    state: Literal["open", "answered", "void"]
    reason: str | None
    answers: dict[str, str] | None
    log: dict[str, Any] | None


class Enrolment(NamedTuple):
    """A rater and the secret that continues the session."""

    rater: Rater
    secret: str


class AnsweredTwiceError(BenchError):
    """Another answer to the trial is stored already."""


class Store:
    """The answers of a study.

    Args:
        path: The SQLite file; it is created.
        study: Whose answers it holds.

    Raises:
        BenchError: The file is of another study or of a later release, is damaged, or cannot be written.
    """

    def __init__(self, path: Path, study: StudyRecord) -> None:
        self.path = path
        self._study = study
        self._lock = threading.Lock()
        with _explain(path):
            is_new = not path.exists()
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            if is_new:
                path.chmod(0o600)  # what people answered is theirs and the researcher's; SQLite's other files follow
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.executescript(_TABLES)
        self._check_facts()

    def _check_facts(self) -> None:
        with self._transaction() as connection:
            for name, value in (("schema_version", str(SCHEMA_VERSION)), ("study_sha256", self._study.sha256)):
                connection.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
            facts = dict(connection.execute("SELECT name, value FROM facts").fetchall())
        if int(facts["schema_version"]) > SCHEMA_VERSION:
            raise BenchError(f"{self.path} was written by a later release.", hint="Upgrade dancebench.")
        if facts["study_sha256"] != self._study.sha256:
            raise BenchError(
                f"{self.path} holds votes of another study.json: the study was changed after its page was opened.",
                hint="Restore study.json; questions, clips and exclusion rules are fixed before the first vote.",
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # ------------------------------------------------------------ raters

    def enrol(self, panel: Mapping[str, str], screen: Mapping[str, Any]) -> Enrolment:
        """A new rater with a block of trials; of a panel's id that is known the same rater, with a new secret.

        Args:
            panel: Opaque ids of the link; `id` is the rater's.
            screen: What the page says of the screen.
        """
        secret, now = secrets.token_urlsafe(24), _now()
        with self._transaction() as connection:
            known = self._find_panel_rater(connection, panel.get("id"))
            if known is not None:
                connection.execute("UPDATE raters SET secret_sha256 = ? WHERE id = ?", (_hash(secret), known.id))
                return Enrolment(known, secret)
            number = self._count_up(connection, "enrolled")
            rater = Rater(f"r{secrets.token_hex(6)}", number, "active", dict(panel), dict(screen), now, None)
            row = (
                rater.id, _hash(secret), panel.get("id"), json.dumps(rater.panel), number, now, now, rater.state,
                json.dumps(rater.screen),
            )  # fmt: skip
            connection.execute("INSERT INTO raters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", row)
            votes, shown = self._count_items(connection)
            for position, planned in enumerate(plan_block(self._study, number, votes, shown)):
                _insert_trial(connection, rater.id, position, planned)
        return Enrolment(rater, secret)

    def find_rater(self, secret: str) -> Rater | None:
        """Whose secret it is; None if nobody's."""
        with self._transaction() as connection:
            row = connection.execute(f"{_SELECT_RATER} WHERE secret_sha256 = ?", (_hash(secret),)).fetchone()
        return None if row is None else _read_rater(row)

    def list_raters(self) -> list[Rater]:
        """All who are not erased, in the order of enrolment."""
        with self._transaction() as connection:
            return [_read_rater(row) for row in connection.execute(f"{_SELECT_RATER} ORDER BY number")]

    def set_state(self, rater: str, state: RaterState) -> None:
        """End a rater's session."""
        with self._transaction() as connection:
            connection.execute("UPDATE raters SET state = ? WHERE id = ?", (state, rater))

    def set_comment(self, rater: str, comment: str) -> None:
        """Keep what a rater wrote, as it is."""
        with self._transaction() as connection:
            connection.execute("UPDATE raters SET comment = ? WHERE id = ?", (comment, rater))

    def erase(self, rater: str) -> bool:
        """Remove a rater with all answers, from the log of writes too; False if there is no such rater."""
        with self._transaction() as connection:
            erased = connection.execute("DELETE FROM raters WHERE id = ?", (rater,)).rowcount == 1
            if erased:
                self._count_up(connection, "erased")
        with self._lock, _explain(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return erased

    def count(self, name: Literal["enrolled", "erased"]) -> int:
        """How many ever enrolled, or were erased."""
        with self._transaction() as connection:
            row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    # ------------------------------------------------------------ trials

    def list_trials(self, rater: str | None = None) -> list[Trial]:
        """The trials of a rater, or of all, in order."""
        where, values = ("", ()) if rater is None else ("WHERE rater = ?", (rater,))
        with self._transaction() as connection:
            rows = connection.execute(f"{_SELECT_TRIAL} {where} ORDER BY rater, position", values).fetchall()
        return [_read_trial(row) for row in rows]

    def answer(self, rater: str, position: int, answers: Mapping[str, str], log: Mapping[str, Any]) -> bool:
        """Store the answers to a trial; on return they are on the disk.

        Returns:
            False where the same answers were stored before: an acknowledgement was lost on its way.

        Raises:
            AnsweredTwiceError: Others were.
            LookupError: There is no such trial.
            BenchError: The trial is void, or the disk is full.
        """
        with self._transaction() as connection:
            trial = self._get_trial(connection, rater, position)
            if trial.state == "void":
                raise AnsweredTwiceError("This trial was set aside: a video had failed.", hint="Go on with the next.")
            if trial.state == "answered":
                if trial.answers == dict(answers):
                    return False
                raise AnsweredTwiceError("This trial has an answer already; it stays.", hint="Go on with the next.")
            row = (json.dumps(dict(answers)), json.dumps(dict(log)), _now(), rater, position)
            connection.execute(
                "UPDATE trials SET state = 'answered', answers = ?, log = ?, stored = ? "
                "WHERE rater = ? AND position = ?", row,
            )  # fmt: skip
            connection.execute("UPDATE raters SET seen = ? WHERE id = ?", (_now(), rater))
        return True

    def void(self, rater: str, position: int, reason: str) -> None:
        """Set a trial aside whose video failed, and add another in its place.

        Raises:
            LookupError: There is no such trial.
            BenchError: It has an answer.
        """
        with self._transaction() as connection:
            trial = self._get_trial(connection, rater, position)
            if trial.state == "void":
                return
            if trial.state == "answered":
                raise AnsweredTwiceError("This trial has an answer already; it stays.", hint="Go on with the next.")
            connection.execute(
                "UPDATE trials SET state = 'void', reason = ?, stored = ? WHERE rater = ? AND position = ?",
                (reason, _now(), rater, position),
            )
            self._replace(connection, trial)

    def _replace(self, connection: sqlite3.Connection, trial: Trial) -> None:
        own = [_read_trial(row) for row in connection.execute(f"{_SELECT_TRIAL} WHERE rater = ?", (trial.rater,))]
        if sum(each.state == "void" for each in own) > MAX_REPLACEMENTS:
            return
        (number,) = connection.execute("SELECT number FROM raters WHERE id = ?", (trial.rater,)).fetchone()
        generator = np.random.default_rng([self._study.seed, number, len(own)])
        kind, seen = self._study.item_of[trial.item].kind, {each.item for each in own}
        votes, _ = self._count_items(connection)
        unseen = [item for item in self._study.item_of.values() if item.kind == kind and item.id not in seen]
        for item in choose_items(unseen, self._study, 1, votes, generator):
            planned = PlannedTrial(item.id, draw_order(item, generator))
            _insert_trial(connection, trial.rater, len(own), planned)

    def _get_trial(self, connection: sqlite3.Connection, rater: str, position: int) -> Trial:
        row = connection.execute(f"{_SELECT_TRIAL} WHERE rater = ? AND position = ?", (rater, position)).fetchone()
        if row is None:
            raise LookupError(position)
        return _read_trial(row)

    def _count_items(self, connection: sqlite3.Connection) -> tuple[Counter[str], Counter[str]]:
        """By item: votes given or under way, and how often it was shown."""
        votes: Counter[str] = Counter()
        shown: Counter[str] = Counter()
        since = (datetime.now(UTC) - ABANDONED).isoformat(timespec="seconds")
        query = (
            "SELECT item, trials.state, raters.state, seen FROM trials JOIN raters ON raters.id = trials.rater "
            "WHERE trials.state != 'void'"
        )
        for item, state, rater_state, seen in connection.execute(query):
            shown[item] += 1
            under_way = state == "open" and rater_state == "active" and seen >= since
            votes[item] += rater_state != "screened" and (state == "answered" or under_way)
        return votes, shown

    def _find_panel_rater(self, connection: sqlite3.Connection, panel_id: str | None) -> Rater | None:
        row = connection.execute(f"{_SELECT_RATER} WHERE panel_id = ?", (panel_id,)).fetchone()
        return None if row is None else _read_rater(row)

    def _count_up(self, connection: sqlite3.Connection, name: str) -> int:
        """The number so far; one more from now on."""
        connection.execute("INSERT OR IGNORE INTO facts VALUES (?, '0')", (name,))
        (value,) = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        connection.execute("UPDATE facts SET value = ? WHERE name = ?", (str(int(value) + 1), name))
        return int(value)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and on the disk at the end."""
        with self._lock, _explain(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


_SELECT_RATER: Final = "SELECT id, number, state, panel, screen, enrolled, comment FROM raters"
_SELECT_TRIAL: Final = "SELECT rater, position, item, shown_order, state, reason, answers, log FROM trials"


def _insert_trial(connection: sqlite3.Connection, rater: str, position: int, planned: PlannedTrial) -> None:
    connection.execute(
        "INSERT INTO trials (rater, position, item, shown_order, state) VALUES (?, ?, ?, ?, 'open')",
        (rater, position, planned.item, json.dumps(planned.order)),
    )


def _read_rater(row: tuple[Any, ...]) -> Rater:
    identity, number, state, panel, screen, enrolled, comment = row
    return Rater(identity, number, state, json.loads(panel), json.loads(screen), enrolled, comment)


def _read_trial(row: tuple[Any, ...]) -> Trial:
    rater, position, item, order, state, reason, answers, log = row
    parsed = (None if text is None else json.loads(text) for text in (answers, log))
    return Trial(rater, position, item, tuple(json.loads(order)), state, reason, *parsed)


@contextmanager
def _explain(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        hint = {
            "SQLITE_FULL": "The disk is full: free some space; what was acknowledged is kept.",
            "SQLITE_READONLY": "You may not write there: check its permissions.",
            "SQLITE_CANTOPEN": "Check that the folder exists and may be written.",
            "SQLITE_NOTADB": "Restore the file from a copy.",
            "SQLITE_CORRUPT": "Restore the file from a copy.",
            "SQLITE_BUSY": "Another program holds the file: close it.",
        }.get(getattr(error, "sqlite_errorname", ""), "Check the file and the disk that it lies on.")
        raise BenchError(f"{path} cannot be used: {error}.", hint=hint) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
