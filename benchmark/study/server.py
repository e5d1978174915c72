"""The page's server: a session for each rater, clips under opaque names, answers stored before they are acknowledged.

Everything but the page itself needs the study's token, where it has one; a session needs the rater's secret. What a
browser sends is not believed: an answer before the videos can have ended, by the server's own clock, is refused. No
address of a rater is read or logged.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse

from dancebench.benchmark.study.body_limit import BodyLimit
from dancebench.benchmark.study.exclusion import count_failed_checks
from dancebench.benchmark.study.messages import Answer, Comment, Enrol, Void
from dancebench.benchmark.study.records import AT_ONCE, SLOTS, Access, ShownClip, StudyFolder, StudyRecord
from dancebench.benchmark.study.store import AnsweredTwiceError, Rater, Store, Trial
from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_once

PAGE: Final = Path(__file__).parent / "page"
_PLAYED: Final = 0.95
"""Share of a video that must have played, by its own time and by the server's clock: players end a frame early."""
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src blob:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_ASSETS: Final = {
    "page.css": "text/css",
    **dict.fromkeys(("page.js", "trial.js", "connection.js"), "text/javascript"),
}


class StudyServer:
    """One study as its page sees it.

    Args:
        folder: Of the study.
        store: Where answers go.
        access: Token and codes.
        needs_token: Whether the link needs the token.
        clock: Seconds that never jump, by which the server knows how long a trial was shown.
    """

    def __init__(
        self, folder: StudyFolder, study: StudyRecord, store: Store, access: Access, *, needs_token: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.folder, self.study, self.store, self.access = folder, study, store, access
        self.needs_token = needs_token
        self._clock = clock
        self._shown_at: dict[tuple[str, int], float] = {}

    def check_token(self, x_study_token: Annotated[str, Header()] = "") -> None:
        """Refuse a request without the study's token."""
        self.require_token(x_study_token)

    def require_token(self, token: str) -> None:
        """Refuse another token than the study's."""
        if self.needs_token and not hmac.compare_digest(token.encode(), self.access.token.encode()):
            raise HTTPException(403, "This link does not open the study. Use the whole link that you were given.")

    def find_rater(
        self, authorization: Annotated[str, Header()] = "", x_study_token: Annotated[str, Header()] = ""
    ) -> Rater:
        """Whose session it is."""
        self.require_token(x_study_token)
        rater = self.store.find_rater(authorization.removeprefix("Bearer "))
        if rater is None:
            raise HTTPException(401, "This session is not known: it was withdrawn, or goes on in another tab.")
        return rater

    def describe(self) -> dict[str, Any]:
        """What raters are told before they agree."""
        study = self.study
        seconds = max(clip.seconds for clip in study.clips)
        n_trials = study.trials_per_rater + study.checks_per_rater
        return {
            "study": study.sha256[:16],
            "task": study.task,
            "at_once": min(AT_ONCE[study.task], max(len(item.clips) for item in study.items)),
            "contact": study.contact,
            "trials": n_trials,
            "minutes": max(1, round(n_trials * (seconds + 6 * len(study.questions)) / 60)),
            "questions": [question.model_dump() for question in study.questions],
        }

    def enrol(self, message: Enrol) -> dict[str, Any]:
        """Begin a session, or go on with that of a panel's id."""
        enrolment = self.store.enrol(dict(message.panel.items()), message.screen.model_dump())
        return {"secret": enrolment.secret, "rater": enrolment.rater.id}

    def read_session(self, rater: Rater) -> dict[str, Any]:
        """Where the rater is: a trial, or the end with a completion code."""
        trials = self.store.list_trials(rater.id)
        state = self._settle(rater, trials)
        if state != "active":
            code = self.access.completed if state == "finished" else self.access.screened_out
            return {"state": state, "code": code, "rater": rater.id}
        trial = next(trial for trial in trials if trial.state == "open")
        self._shown_at.setdefault((rater.id, trial.position), self._clock())
        done = sum(each.state != "open" for each in trials)
        return {
            "state": "trial",
            "rater": rater.id,
            "trial": self._describe_trial(trial),
            "done": done,
            "of": len(trials),
        }

    def answer(self, rater: Rater, message: Answer) -> dict[str, Any]:
        """Store the answers to a trial, then acknowledge them."""
        trial = self._find_trial(rater, message.position)
        self._check_answers(trial, message)
        self._check_playback(rater, trial, message)
        log = message.log.model_dump(mode="json")
        shown_at = self._shown_at.get((rater.id, trial.position))
        log["served_s"] = None if shown_at is None else round(self._clock() - shown_at, 3)
        first = self.store.answer(rater.id, trial.position, message.answers, log)
        self._settle(rater, self.store.list_trials(rater.id))
        return {"stored": True, "again": not first}

    def void(self, rater: Rater, message: Void) -> dict[str, Any]:
        """Set a trial aside whose video failed."""
        self._find_trial(rater, message.position)
        self.store.void(rater.id, message.position, message.reason)
        return {"stored": True}

    def find_clip(self, name: str) -> Path:
        """The file of a clip; no part of the name ever reaches the file system unless it is a clip's."""
        clip = self.study.clip_of.get(name)
        if clip is None:
            raise HTTPException(404, "There is no such video.")
        path = self.folder.clip_path(clip.id)
        if not path.is_file() or sha256_once(path) != clip.sha256:
            raise HTTPException(410, "This video is not the one that the study was made of.")
        return path

    def _settle(self, rater: Rater, trials: list[Trial]) -> str:
        """The rater's state, brought up to date with the trials."""
        if rater.state != "active":
            return rater.state
        if count_failed_checks(self.study, trials) >= self.study.rules.screened_out_checks:
            self.store.set_state(rater.id, "screened")
            return "screened"
        if all(trial.state != "open" for trial in trials):
            self.store.set_state(rater.id, "finished")
            return "finished"
        return "active"

    def _find_trial(self, rater: Rater, position: int) -> Trial:
        for trial in self.store.list_trials(rater.id):
            if trial.position == position:
                return trial
        raise HTTPException(404, "There is no such trial.")

    def _list_shown(self, trial: Trial) -> list[ShownClip]:
        item = self.study.item_of[trial.item]
        return [self.study.clip_of[clip] for clip in item.arrange(trial.order)]

    def _describe_trial(self, trial: Trial) -> dict[str, Any]:
        item, shown = self.study.item_of[trial.item], self._list_shown(trial)
        instruction = item.find_expected(trial.order) if item.kind == "instructed" else None
        videos = [
            {"id": clip.id, "width": clip.width, "height": clip.height, "seconds": clip.seconds} for clip in shown
        ]
        return {"position": trial.position, "videos": videos, "instruction": instruction}

    def _check_answers(self, trial: Trial, message: Answer) -> None:
        questions = {question.id for question in self.study.questions}
        allowed = set(self.study.item_of[trial.item].answers)
        if set(message.answers) != questions or not set(message.answers.values()) <= allowed:
            raise HTTPException(422, "Every question of the trial needs one of its answers.")

    def _check_playback(self, rater: Rater, trial: Trial, message: Answer) -> None:
        shown = self._list_shown(trial)
        slots = SLOTS[: len(shown)]
        if set(message.log.playback) != set(slots):
            raise HTTPException(422, "Every video of the trial has a log.")
        shown_at = self._shown_at.get((rater.id, trial.position))
        for slot, clip in zip(slots, shown, strict=True):
            play, least = message.log.playback[slot], _PLAYED * clip.seconds
            on_screen = least if shown_at is None else self._clock() - shown_at
            if not play.ended or play.played_s < least or on_screen < least:
                raise HTTPException(409, "The videos have not been played to the end yet.")


def make_app(server: StudyServer) -> FastAPI:
    """The application of one study."""
    app = FastAPI(title="dancebench study", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BodyLimit)
    token, session = Depends(server.check_token), Depends(server.find_rater)
    _add_error_handlers(app)

    @app.middleware("http")
    async def _add_headers(request: Request, call_next: Callable[[Request], Any]) -> Any:
        response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(PAGE / "page.html", media_type="text/html")

    @app.get("/page/{name}")
    def asset(name: str) -> FileResponse:
        if name not in _ASSETS:
            raise HTTPException(404, "There is no such file.")
        return FileResponse(PAGE / name, media_type=_ASSETS[name])

    @app.get("/api/study", dependencies=[token])
    def study() -> dict[str, Any]:
        return server.describe()

    @app.post("/api/enrol", dependencies=[token])
    def enrol(message: Enrol) -> dict[str, Any]:
        return server.enrol(message)

    @app.get("/api/session")
    def read_session(rater: Rater = session) -> dict[str, Any]:
        return server.read_session(rater)

    @app.post("/api/answer")
    def answer(message: Answer, rater: Rater = session) -> dict[str, Any]:
        return server.answer(rater, message)

    @app.post("/api/void")
    def void(message: Void, rater: Rater = session) -> dict[str, Any]:
        return server.void(rater, message)

    @app.post("/api/comment")
    def comment(message: Comment, rater: Rater = session) -> dict[str, Any]:
        server.store.set_comment(rater.id, message.text)
        return {"stored": True}

    @app.post("/api/withdraw")
    def withdraw(rater: Rater = session) -> dict[str, Any]:
        return {"erased": server.store.erase(rater.id)}

    @app.get("/clips/{name}", dependencies=[session])
    def clip(name: str) -> FileResponse:
        return FileResponse(server.find_clip(name), media_type="video/mp4")

    return app


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse({"detail": f"Not understood: {where}: {first['msg']}."}, status_code=422)

    @app.exception_handler(AnsweredTwiceError)
    def keep(_: Request, error: AnsweredTwiceError) -> JSONResponse:
        return JSONResponse({"detail": error.message}, status_code=409)

    @app.exception_handler(BenchError)
    def explain(_: Request, error: BenchError) -> JSONResponse:
        text = (
            "The answer could not be stored. Nothing that was stored before is lost: wait a little and send it again."
        )
        return JSONResponse({"detail": text, "cause": type(error).__name__}, status_code=507)
