// One trial: its videos are loaded whole, played to the end, and asked about; how they played is measured.

import { Refused, ask, identify, make, pause, session } from "./connection.js";

const SLOTS = ["a", "b", "c", "d"];
const LABELS = { a: "Video A", b: "Video B", c: "Video C", d: "Video D", real: "Real", fake: "Synthesized" };
const KEYS = { a: "a", b: "b", c: "c", d: "d", real: "r", fake: "s" };
const NUMBERS = ["no", "one", "two", "three", "four"];
const LEAST_SIDE = 256; // CSS pixels: a clip whose longer side has fewer is shown two or more times as large
const LOAD_TRIES = 3;

const enlarge = ({ width, height }) => Math.max(1, Math.round(LEAST_SIDE / Math.max(width, height)));

let letters = true; // whether letter keys act: who speaks to the computer may switch them off

// `page` shows a page, goes on to the next trial, and tells a failure.
export class Trial {
  constructor(description, page) {
    this.description = description;
    this.page = page;
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
    const several = videos.length > 1;
    const all = videos.length === 2 ? "both" : "all";
    this.answers = several ? SLOTS.slice(0, videos.length) : ["real", "fake"];
    this.task = several ? `Watch ${all} videos to the end, then answer.` : "Watch the video to the end, then answer.";
    this.videos = videos.map((video, at) => make("video", { muted: true, playsInline: true, preload: "auto",
      width: String(video.width * enlarge(video)), height: String(video.height * enlarge(video)), disablePictureInPicture: true,
      "aria-label": several ? LABELS[SLOTS[at]] : "The video" }));
    const wide = videos[0].width > videos[0].height;
    const count = several ? (videos.length > 2 ? " many" : "") : " single";
    this.grid = make("div", { class: `videos${count}${wide ? " wide" : ""}` }, ...this.videos.map((video, at) =>
      make("figure", {}, video, several ? make("figcaption", {}, LABELS[SLOTS[at]]) : null)));
    this.button = make("button", { type: "button", disabled: true }, several ? `Play ${all}` : "Play");
    this.button.addEventListener("click", () => this.play());
    this.status = make("p", { class: "status", role: "status" }, "Loading …");
    this.send = make("button", { type: "submit", disabled: true }, "Next");
    this.form = make("form", {}, ...this.makeQuestions(), this.send);
    this.form.addEventListener("change", () => { this.send.disabled = !this.isComplete(); });
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    const asked = instruction ? make("p", { class: "notice", id: "instruction" },
      `This round checks your attention: whatever you see, answer “${LABELS[instruction]}” to every question.`) : null;
    this.page.show("trial", several ? `Compare the ${NUMBERS[videos.length]} videos` : "Watch the video", asked, this.grid,
      make("div", { class: "controls" }, this.button, this.status), this.form, this.makeKeys());
  }

  makeQuestions() {
    this.fields = session.study.questions.map((question) => make("fieldset", { disabled: true },
      make("legend", {}, question.text),
      make("div", { class: "options" }, ...this.answers.map((answer) => make("label", { class: "option" },
        make("input", { type: "radio", name: question.id, value: answer, required: true }), LABELS[answer])))));
    return this.fields;
  }

  makeKeys() {
    const box = make("input", { type: "checkbox", id: "letters", checked: letters });
    box.addEventListener("change", () => { letters = box.checked; });
    return make("div", { class: "keys" },
      make("span", {}, make("kbd", {}, "P"), " play, ",
        ...this.answers.flatMap((answer) => [make("kbd", {}, KEYS[answer].toUpperCase()), ` ${LABELS[answer]}, `]),
        make("kbd", {}, "Enter"), " next"),
      make("label", { for: "letters" }, box, "letter keys"));
  }

  async load() {
    try {
      await Promise.all(this.videos.map((video, at) => this.loadOne(video, this.description.videos[at])));
    } catch (error) {
      if (this.over) return;
      if (error instanceof Refused && error.status === 401) { this.page.fail(error); return; }
      await this.giveUp(error.message);
      return;
    }
    if (this.over) return;
    this.videos.forEach((video, at) => this.watch(video, SLOTS[at]));
    this.button.disabled = false;
    this.status.textContent = this.task;
    this.button.focus({ preventScroll: true });
  }

  // The whole file before it plays, so that the network makes nothing stand still.
  async loadOne(video, { id }) {
    for (let attempt = 1; ; attempt += 1) {
      let reason = "not reached";
      try {
        const response = await fetch(`clips/${id}`, { headers: identify() });
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
      if (error.status !== 409) { this.page.fail(error); return; } // 409: it has an answer, or was set aside; go on
    }
    await this.page.next();
  }

  async giveUp(reason) {
    this.over = true;
    try {
      await ask("api/void", { position: this.description.position, reason: reason.slice(0, 200) });
    } catch (error) { if (error.status !== 409) { this.page.fail(error); return; } }
    const onward = make("button", { type: "button", id: "onward" }, "Next");
    onward.addEventListener("click", () => { onward.disabled = true; this.page.next(); });
    this.page.show("text", "A video could not be played",
      make("p", { class: "notice" }, "This round is set aside, and that is recorded: it does not count against you. Another may take its place at the end."),
      onward);
    onward.focus();
  }

  press(event) {
    const key = event.key.toLowerCase();
    if (key === "enter" && event.target.tagName !== "BUTTON") { event.preventDefault(); this.submit(); return; }
    if (!letters) return;
    if (key === "p") { this.play(); return; }
    const answer = Object.keys(KEYS).find((name) => KEYS[name] === key);
    if (answer) this.choose(answer);
  }

  stop() {
    this.over = true;
    document.removeEventListener("visibilitychange", this.onHide);
    for (const video of this.videos) { video.pause(); video.removeAttribute("src"); }
    for (const url of this.urls) URL.revokeObjectURL(url);
  }
}
