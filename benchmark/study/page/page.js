// The page of a study: consent, trials, the end. An answer counts as given once the server has acknowledged it.
"use strict";

const query = new URLSearchParams(location.search);
const TOKEN = query.get("t") || "";
const PANEL = Object.fromEntries(
  [["id", "PROLIFIC_PID"], ["study", "STUDY_ID"], ["session", "SESSION_ID"]]
    .map(([name, key]) => [name, (query.get(key) || (name === "id" && query.get("rater")) || "").slice(0, 200)])
    .filter(([, value]) => value));
const SLOTS = ["a", "b"];
const LABELS = { a: "Video A", b: "Video B", real: "Real", fake: "Synthesized" };
const KEYS = { a: "a", b: "b", real: "r", fake: "s" };
const LOAD_TRIES = 3;
const LEAST_SIDE = 256; // CSS pixels: a clip whose longer side has fewer is shown two or more times as large

const main = document.getElementById("main");
const dialog = document.getElementById("confirm");
let study = null;
let secret = null;
let trial = null; // the running Trial, or null
let letters = true; // whether letter keys act: who speaks to the computer may switch them off

// ---------------------------------------------------------------- small things

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function show(kind, title, ...children) {
  if (trial) trial.stop();
  trial = null;
  main.className = kind;
  const heading = make("h1", { tabindex: "-1" }, title);
  main.replaceChildren(heading, ...children.filter((child) => child !== null));
  document.title = `${title} – Video study`;
  window.scrollTo(0, 0);
  heading.focus({ preventScroll: true });
}

const enlarge = ({ width, height }) => Math.max(1, Math.round(LEAST_SIDE / Math.max(width, height)));

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// The place of the session in this browser, so that a closed tab is no loss. Where storage is blocked the page still works.
const memory = {
  key: () => `study-${study.study}${PANEL.id ? `-${PANEL.id}` : ""}`,
  read() { try { return localStorage.getItem(this.key()); } catch { return null; } },
  write(value) { try { localStorage.setItem(this.key(), value); } catch { /* not kept */ } },
};

class Refused extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

// Ask the server. What cannot be reached or stored is tried again until it can: a stored answer is recognised.
async function ask(path, body, patient = true) {
  for (let wait = 1000; ; wait = Math.min(2 * wait, 15000)) {
    let response = null;
    try {
      response = await fetch(path, {
        method: body === undefined ? "GET" : "POST",
        headers: { "X-Study-Token": TOKEN, Authorization: `Bearer ${secret || ""}`,
          ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch { /* not reached */ }
    if (response && response.ok) { sayTrouble(""); return response.json(); }
    if (response && response.status < 500) {
      const reply = await response.json().catch(() => ({}));
      throw new Refused(response.status, reply.detail || `The server answered ${response.status}.`);
    }
    if (!patient) throw new Refused(0, "The server cannot be reached.");
    sayTrouble(response ? "Your answer could not be stored yet. It is sent again by itself; please wait."
      : "No connection. Your answer is kept here and sent again by itself; please wait.");
    await pause(wait);
  }
}

function sayTrouble(text) {
  let note = document.getElementById("trouble");
  if (!text) { if (note) note.remove(); return; }
  if (!note) { note = make("p", { id: "trouble", class: "notice bad", role: "alert" }); main.prepend(note); }
  note.textContent = text;
}

function fail(error) {
  if (error.status === 401) { showWithdrawn(true); return; }
  show("text", "This did not work", make("p", { class: "notice bad" }, error.message),
    make("p", {}, "Your answers so far are stored. Reload the page to go on."));
}

// ---------------------------------------------------------------- before and after

function showConsent() {
  document.getElementById("foot").hidden = true;
  document.getElementById("bar").hidden = true;
  const pairs = study.task !== "real-or-fake";
  const box = make("input", { type: "checkbox", id: "agree" });
  const begin = make("button", { type: "button", disabled: true }, "Begin");
  box.addEventListener("change", () => { begin.disabled = !box.checked; });
  begin.addEventListener("click", async () => {
    begin.disabled = true;
    try {
      const reply = await ask("api/enrol", { agreed: true, panel: PANEL, screen: await measureScreen() });
      secret = reply.secret;
      memory.write(secret);
      await next();
    } catch (error) { fail(error); }
  });
  show("text", "A study of videos of people",
    make("p", {}, pairs
      ? "You see pairs of short videos of a person. Watch both to the end, then answer by what you see. Some of the videos, or all, were made by a computer."
      : "You see short videos of a person. Watch each to the end, then say whether it is real or was synthesized by a computer."),
    make("p", {}, `There are ${study.trials} rounds; they take about ${study.minutes === 1 ? "a minute" : `${study.minutes} minutes`}. Some rounds check that you are attending. The videos have no sound.`),
    make("h2", {}, "What is stored"),
    make("ul", {},
      make("li", {}, "your answers, when you gave them, and how the videos played"),
      make("li", {}, "the size, resolution and refresh rate of your screen, the size of the window, and whether you touch it"),
      make("li", {}, PANEL.id ? "the id by which your panel knows you, to credit you" : "a random id, made for this study"),
      make("li", {}, "what you write at the end, if you write anything")),
    make("p", {}, "Your internet address, your name and what browser you use are not stored. The answers are analysed together with those of others, and may be published without any id of a panel."),
    make("h2", {}, "Your choice"),
    make("p", {}, "Taking part is voluntary. You can withdraw at any time, with the button at the foot of the page; then all that is stored of you is erased. You can close the page and go on later in the same browser."),
    make("p", {}, `Who asks: ${study.contact}`),
    make("label", { class: "agree", for: "agree" }, box, make("span", {}, "I am an adult, have read this, and agree to take part.")),
    begin);
}

async function measureScreen() {
  const ticks = [];
  await Promise.race([pause(1000), new Promise((done) => {
    const tick = (now) => { ticks.push(now); if (ticks.length > 30) done(); else requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
  })]);
  const steps = ticks.slice(1).map((now, at) => now - ticks[at]).sort((x, y) => x - y);
  const step = steps.length ? steps[Math.floor(steps.length / 2)] : 0;
  return { width: screen.width, height: screen.height, pixel_ratio: Math.min(16, devicePixelRatio || 1),
    refresh_hz: step > 0 ? Math.round(10000 / step) / 10 : null, touch: navigator.maxTouchPoints > 0 };
}

function showEnd(session) {
  document.getElementById("bar").hidden = true;
  document.getElementById("foot").hidden = false;
  const code = [make("p", {}, "Your completion code:"), make("p", { class: "code", id: "code" }, session.code),
    make("p", {}, `Your id in this study, by which you can be erased later: ${session.rater}`)];
  if (session.state === "screened") {
    show("text", "The study ends here for you",
      make("p", {}, "The rounds that check attention were not answered as they asked. Your answers are stored but will not be used. Thank you for your time."), ...code);
    return;
  }
  const text = make("textarea", { id: "comment", maxlength: "2000" });
  const send = make("button", { type: "button", class: "second" }, "Send comment");
  const sent = make("p", { class: "status", role: "status" });
  send.addEventListener("click", async () => {
    try { await ask("api/comment", { text: text.value }); sent.textContent = "Your comment is stored."; }
    catch (error) { sent.textContent = error.message; }
  });
  show("text", "Finished: thank you", make("p", {}, "All your answers are stored. You can close this page."), ...code,
    make("h2", {}, "Anything to say?"), make("label", { for: "comment" }, "Comment (optional)"), text, send, sent);
}

function showWithdrawn(unknown = false) {
  document.getElementById("bar").hidden = true;
  document.getElementById("foot").hidden = true;
  show("text", unknown ? "This session is over" : "You have withdrawn",
    make("p", {}, unknown
      ? "The study does not know this session: it was withdrawn and erased, or goes on in another tab or browser."
      : "All that was stored of you is erased. You can close this page. Thank you for your time."),
    make("p", {}, `Questions: ${study.contact}`));
}

// ---------------------------------------------------------------- trials

async function next() {
  try {
    const session = await ask("api/session");
    if (session.state !== "trial") { showEnd(session); return; }
    document.getElementById("foot").hidden = false;
    document.getElementById("bar").hidden = false;
    const bar = document.getElementById("progress");
    bar.max = session.of;
    bar.value = session.done;
    document.getElementById("count").textContent = `${session.done + 1} of ${session.of}`;
    const begun = new Trial(session.trial);
    begun.show();
    trial = begun;
    await begun.load();
  } catch (error) { fail(error); }
}

class Trial {
  constructor(description) {
    this.description = description;
    this.playback = {};
    this.replays = 0;
    this.hidden = 0;
    this.ended = null; // when the later video first ended
    this.urls = [];
    this.over = false;
    this.onHide = () => { if (document.hidden) this.hidden += 1; };
    document.addEventListener("visibilitychange", this.onHide);
  }

  show() {
    const { videos, instruction } = this.description;
    const pairs = videos.length === 2;
    this.videos = videos.map((video, at) => make("video", { muted: true, playsInline: true, preload: "auto",
      width: String(video.width * enlarge(video)), height: String(video.height * enlarge(video)), disablePictureInPicture: true,
      "aria-label": pairs ? LABELS[SLOTS[at]] : "The video" }));
    const wide = videos[0].width > videos[0].height;
    this.grid = make("div", { class: `videos${pairs ? "" : " single"}${wide ? " wide" : ""}` }, ...this.videos.map((video, at) =>
      make("figure", {}, video, pairs ? make("figcaption", {}, LABELS[SLOTS[at]]) : null)));
    this.button = make("button", { type: "button", disabled: true }, pairs ? "Play both" : "Play");
    this.button.addEventListener("click", () => this.play());
    this.status = make("p", { class: "status", role: "status" }, "Loading …");
    this.send = make("button", { type: "submit", disabled: true }, "Next");
    this.form = make("form", {}, ...this.makeQuestions(), this.send);
    this.form.addEventListener("change", () => { this.send.disabled = !this.isComplete(); });
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    const asked = instruction ? make("p", { class: "notice", id: "instruction" },
      `This round checks your attention: whatever you see, answer “${LABELS[instruction]}” to every question.`) : null;
    const answers = pairs ? SLOTS : ["real", "fake"];
    show("trial", pairs ? "Compare the two videos" : "Watch the video", asked, this.grid,
      make("div", { class: "controls" }, this.button, this.status), this.form,
      this.makeKeys(answers));
  }

  makeQuestions() {
    const answers = this.videos.length === 2 ? SLOTS : ["real", "fake"];
    this.fields = study.questions.map((question) => make("fieldset", { disabled: true },
      make("legend", {}, question.text),
      make("div", { class: "options" }, ...answers.map((answer) => make("label", { class: "option" },
        make("input", { type: "radio", name: question.id, value: answer, required: true }), LABELS[answer])))));
    return this.fields;
  }

  makeKeys(answers) {
    const box = make("input", { type: "checkbox", id: "letters", checked: letters });
    box.addEventListener("change", () => { letters = box.checked; });
    return make("div", { class: "keys" },
      make("span", {}, make("kbd", {}, "P"), " play, ",
        ...answers.flatMap((answer) => [make("kbd", {}, KEYS[answer].toUpperCase()), ` ${LABELS[answer]}, `]),
        make("kbd", {}, "Enter"), " next"),
      make("label", { for: "letters" }, box, "letter keys"));
  }

  async load() {
    try {
      await Promise.all(this.videos.map((video, at) => this.loadOne(video, this.description.videos[at])));
    } catch (error) {
      if (this.over) return;
      if (error instanceof Refused && error.status === 401) { fail(error); return; }
      await this.giveUp(error.message);
      return;
    }
    if (this.over) return;
    this.videos.forEach((video, at) => this.watch(video, SLOTS[at]));
    this.button.disabled = false;
    this.status.textContent = this.videos.length === 2 ? "Watch both videos to the end, then answer." : "Watch the video to the end, then answer.";
    this.button.focus({ preventScroll: true });
  }

  // The whole file before it plays, so that the network makes nothing stand still.
  async loadOne(video, { id }) {
    for (let attempt = 1; ; attempt += 1) {
      let reason = "not reached";
      try {
        const response = await fetch(`clips/${id}`, { headers: { "X-Study-Token": TOKEN, Authorization: `Bearer ${secret}` } });
        if (response.status === 401) throw new Refused(401, "unknown session");
        if (response.ok) {
          const url = URL.createObjectURL(await response.blob());
          this.urls.push(url);
          await new Promise((done, failed) => {
            video.addEventListener("canplaythrough", done, { once: true });
            video.addEventListener("error", () => failed(new Error("not decoded")), { once: true });
            video.src = url;
            video.load();
          });
          return;
        }
        reason = `status ${response.status}`;
        if (response.status < 500) throw new Error(reason);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // of fetch: the network
      }
      if (attempt >= LOAD_TRIES) throw new Error(reason);
      await pause(1000 * attempt);
    }
  }

  watch(video, slot) {
    const record = { ended: false, played_s: 0, wall_s: null, stalls: 0, stalled_s: 0, dropped: 0, frames: 0 };
    this.playback[slot] = record;
    let begun = null;
    let stalled = null;
    const open = () => !record.ended;
    video.addEventListener("playing", () => {
      if (!open()) return;
      const now = performance.now();
      begun ??= now;
      if (stalled !== null) { record.stalled_s += (now - stalled) / 1000; stalled = null; }
    });
    video.addEventListener("waiting", () => {
      if (open() && begun !== null && stalled === null) { record.stalls += 1; stalled = performance.now(); }
    });
    video.addEventListener("ended", () => {
      if (!open()) { this.rest(); return; }
      record.ended = true;
      record.played_s = video.currentTime;
      record.wall_s = begun === null ? null : (performance.now() - begun) / 1000;
      const quality = video.getVideoPlaybackQuality ? video.getVideoPlaybackQuality() : null;
      if (quality) { record.dropped = quality.droppedVideoFrames; record.frames = quality.totalVideoFrames; }
      if (Object.values(this.playback).every((each) => each.ended)) this.open();
    });
    video.addEventListener("error", () => { if (!this.over) this.giveUp("stopped while it played"); });
  }

  play() {
    if (this.button.disabled) return;
    this.button.disabled = true;
    if (this.ended !== null) this.replays += 1;
    this.status.textContent = "Playing …";
    for (const video of this.videos) video.currentTime = 0;
    Promise.all(this.videos.map((video) => video.play())).catch(() => {
      if (this.over) return;
      this.button.disabled = false;
      this.status.textContent = "Your browser did not start the videos: press Play again.";
    });
  }

  open() {
    this.ended = performance.now();
    for (const field of this.fields) field.disabled = false;
    this.rest();
    this.fields[0].querySelector("input").focus({ preventScroll: true });
  }

  rest() {
    if (!this.videos.every((video) => video.ended)) return;
    this.button.disabled = false;
    this.button.textContent = "Play again";
    this.button.className = "second";
    this.status.textContent = "";
  }

  isComplete() {
    return this.ended !== null && this.fields.every((field) => field.querySelector("input:checked"));
  }

  choose(answer) {
    if (this.ended === null) return;
    const focused = this.fields.find((field) => field.contains(document.activeElement)) || this.fields[0];
    const input = focused.querySelector(`input[value="${answer}"]`);
    if (!input) return;
    input.checked = true;
    this.send.disabled = !this.isComplete();
    const open = this.fields.find((field) => !field.querySelector("input:checked"));
    (open ? open.querySelector("input") : input).focus();
  }

  async submit() {
    if (this.over || !this.isComplete() || this.sending) return;
    this.sending = true;
    this.send.disabled = true;
    const answers = Object.fromEntries(this.fields.map((field) => {
      const input = field.querySelector("input:checked");
      return [input.name, input.value];
    }));
    const log = { playback: this.playback, reaction_ms: Math.round(performance.now() - this.ended), replays: this.replays,
      hidden: this.hidden, window: [innerWidth, innerHeight] };
    try {
      await ask("api/answer", { position: this.description.position, answers, log });
    } catch (error) {
      if (error.status !== 409) { fail(error); return; } // 409: it has an answer, or was set aside; go on
    }
    await next();
  }

  async giveUp(reason) {
    this.over = true;
    try {
      await ask("api/void", { position: this.description.position, reason: reason.slice(0, 200) });
    } catch (error) { if (error.status !== 409) { fail(error); return; } }
    const onward = make("button", { type: "button", id: "onward" }, "Next");
    onward.addEventListener("click", () => { onward.disabled = true; next(); });
    show("text", "A video could not be played",
      make("p", { class: "notice" }, "This round is set aside, and that is recorded: it does not count against you. Another may take its place at the end."),
      onward);
    onward.focus();
  }

  stop() {
    this.over = true;
    document.removeEventListener("visibilitychange", this.onHide);
    for (const video of this.videos) { video.pause(); video.removeAttribute("src"); }
    for (const url of this.urls) URL.revokeObjectURL(url);
  }
}

document.addEventListener("keydown", (event) => {
  if (!trial || dialog.open || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === "enter" && event.target.tagName !== "BUTTON") { event.preventDefault(); trial.submit(); return; }
  if (!letters) return;
  if (key === "p") { trial.play(); return; }
  const answer = Object.keys(KEYS).find((name) => KEYS[name] === key);
  if (answer) trial.choose(answer);
});

// ---------------------------------------------------------------- withdrawal, and the beginning

document.getElementById("leave").addEventListener("click", () => dialog.showModal());
document.getElementById("stay").addEventListener("click", () => dialog.close());
document.getElementById("erase").addEventListener("click", async () => {
  dialog.close();
  try {
    await ask("api/withdraw", {});
    memory.write("withdrawn");
    secret = null;
    showWithdrawn();
  } catch (error) { fail(error); }
});

async function begin() {
  try {
    study = await ask("api/study", undefined, false);
  } catch (error) {
    show("text", "The study is not open", make("p", { class: "notice bad" }, error.message));
    return;
  }
  const kept = memory.read();
  if (kept === "withdrawn") { showWithdrawn(); return; }
  if (!kept) { showConsent(); return; }
  secret = kept;
  await next();
}

begin();
