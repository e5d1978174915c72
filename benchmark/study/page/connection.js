// Talking to the study's server. An answer counts as given once the server has acknowledged it.

const query = new URLSearchParams(location.search);
const TOKEN = query.get("t") || "";
export const PANEL = Object.fromEntries(
  [["id", "PROLIFIC_PID"], ["study", "STUDY_ID"], ["session", "SESSION_ID"]]
    .map(([name, key]) => [name, (query.get(key) || (name === "id" && query.get("rater")) || "").slice(0, 200)])
    .filter(([, value]) => value));

export const session = { study: null, secret: null };

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// The place of the session in this browser, so that a closed tab is no loss. Where storage is blocked the page still works.
export const memory = {
  key: () => `study-${session.study.study}${PANEL.id ? `-${PANEL.id}` : ""}`,
  read() { try { return localStorage.getItem(this.key()); } catch { return null; } },
  write(value) { try { localStorage.setItem(this.key(), value); } catch { /* not kept */ } },
};

export class Refused extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

// What every request carries.
export const identify = () => ({ "X-Study-Token": TOKEN, Authorization: `Bearer ${session.secret || ""}` });

// Ask the server. What cannot be reached or stored is tried again until it can: a stored answer is recognised.
export async function ask(path, body, patient = true) {
  for (let wait = 1000; ; wait = Math.min(2 * wait, 15000)) {
    let response = null;
    try {
      response = await fetch(path, {
        method: body === undefined ? "GET" : "POST",
        headers: { ...identify(),
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
  if (!note) { note = make("p", { id: "trouble", class: "notice bad", role: "alert" }); document.getElementById("main").prepend(note); }
  note.textContent = text;
}
