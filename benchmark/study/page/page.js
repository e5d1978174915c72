// The page of a study: consent, trials, the end.

import { PANEL, ask, make, memory, pause, session } from "./connection.js";
import { Trial } from "./trial.js";

const main = document.getElementById("main");
const dialog = document.getElementById("confirm");
let trial = null; // the running Trial, or null

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

function fail(error) {
  if (error.status === 401) { showWithdrawn(true); return; }
  show("text", "This did not work", make("p", { class: "notice bad" }, error.message),
    make("p", {}, "Your answers so far are stored. Reload the page to go on."));
}

// ---------------------------------------------------------------- before and after

function showConsent() {
  document.getElementById("foot").hidden = true;
  document.getElementById("bar").hidden = true;
  const atOnce = session.study.at_once;
  const shown = atOnce > 2 ? `up to ${["three", "four"][atOnce - 3]} short videos of a person at once. Watch all of them`
    : "pairs of short videos of a person. Watch both";
  const box = make("input", { type: "checkbox", id: "agree" });
  const begin = make("button", { type: "button", disabled: true }, "Begin");
  box.addEventListener("change", () => { begin.disabled = !box.checked; });
  begin.addEventListener("click", async () => {
    begin.disabled = true;
    try {
      const reply = await ask("api/enrol", { agreed: true, panel: PANEL, screen: await measureScreen() });
      session.secret = reply.secret;
      memory.write(session.secret);
      await next();
    } catch (error) { fail(error); }
  });
  show("text", "A study of videos of people",
    make("p", {}, atOnce > 1
      ? `You see ${shown} to the end, then answer by what you see. Some of the videos, or all, were made by a computer.`
      : "You see short videos of a person. Watch each to the end, then say whether it is real or was synthesized by a computer."),
    make("p", {}, `There are ${session.study.trials} rounds; they take about ${session.study.minutes === 1 ? "a minute" : `${session.study.minutes} minutes`}. Some rounds check that you are attending. The videos have no sound.`),
    make("h2", {}, "What is stored"),
    make("ul", {},
      make("li", {}, "your answers, when you gave them, and how the videos played"),
      make("li", {}, "the size, resolution and refresh rate of your screen, the size of the window, and whether you touch it"),
      make("li", {}, PANEL.id ? "the id by which your panel knows you, to credit you" : "a random id, made for this study"),
      make("li", {}, "what you write at the end, if you write anything")),
    make("p", {}, "Your internet address, your name and what browser you use are not stored. The answers are analysed together with those of others, and may be published without any id of a panel."),
    make("h2", {}, "Your choice"),
    make("p", {}, "Taking part is voluntary. You can withdraw at any time, with the button at the foot of the page; then all that is stored of you is erased. You can close the page and go on later in the same browser."),
    make("p", {}, `Who asks: ${session.study.contact}`),
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

function showEnd(found) {
  document.getElementById("bar").hidden = true;
  document.getElementById("foot").hidden = false;
  const code = [make("p", {}, "Your completion code:"), make("p", { class: "code", id: "code" }, found.code),
    make("p", {}, `Your id in this study, by which you can be erased later: ${found.rater}`)];
  if (found.state === "screened") {
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
    make("p", {}, `Questions: ${session.study.contact}`));
}

// ---------------------------------------------------------------- trials

async function next() {
  try {
    const found = await ask("api/session");
    if (found.state !== "trial") { showEnd(found); return; }
    document.getElementById("foot").hidden = false;
    document.getElementById("bar").hidden = false;
    const bar = document.getElementById("progress");
    bar.max = found.of;
    bar.value = found.done;
    document.getElementById("count").textContent = `${found.done + 1} of ${found.of}`;
    const begun = new Trial(found.trial, { show, next, fail });
    begun.show();
    trial = begun;
    await begun.load();
  } catch (error) { fail(error); }
}

document.addEventListener("keydown", (event) => {
  if (trial && !dialog.open && !event.ctrlKey && !event.metaKey && !event.altKey) trial.press(event);
});

// ---------------------------------------------------------------- withdrawal, and the beginning

document.getElementById("leave").addEventListener("click", () => dialog.showModal());
document.getElementById("stay").addEventListener("click", () => dialog.close());
document.getElementById("erase").addEventListener("click", async () => {
  dialog.close();
  try {
    await ask("api/withdraw", {});
    memory.write("withdrawn");
    session.secret = null;
    showWithdrawn();
  } catch (error) { fail(error); }
});

async function begin() {
  try {
    session.study = await ask("api/study", undefined, false);
  } catch (error) {
    show("text", "The study is not open", make("p", { class: "notice bad" }, error.message));
    return;
  }
  const kept = memory.read();
  if (kept === "withdrawn") { showWithdrawn(); return; }
  if (!kept) { showConsent(); return; }
  session.secret = kept;
  await next();
}

begin();
