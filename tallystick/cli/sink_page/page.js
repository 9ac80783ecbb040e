"use strict";
// Everything that arrived is put into the page as text, never as markup.
const KEPT = 200;
const [rows, state, count, empty, filter] = ["rows", "state", "count", "empty", "filter"].map((id) => document.getElementById(id));
let total = 0;

function cell(className, text) {
  const made = document.createElement("td");
  made.className = className;
  made.textContent = text;
  return made;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function body(delivery) {
  const row = document.createElement("tr");
  const held = document.createElement("td");
  const text = document.createElement("pre");
  row.className = "body";
  row.hidden = true;
  held.colSpan = 5;
  text.textContent = `webhook-id: ${delivery.id}\n\n${pretty(delivery.body)}`;
  held.append(text);
  row.append(held);
  return row;
}

function signature(delivery) {
  const made = cell(delivery.verified ? "verified" : "refused", delivery.verified ? "✓ verified" : "✗ not verified");
  made.title = delivery.why;
  for (const [is, word] of [[delivery.replayed, "replay"], [delivery.again, "again"]]) {
    if (!is) continue;
    const note = document.createElement("span");
    note.className = "note";
    note.textContent = word;
    made.append(note);
  }
  return made;
}

function add(delivery) {
  const row = document.createElement("tr");
  const below = body(delivery);
  const opener = document.createElement("button");
  const topic = cell("topic", "");
  opener.type = "button";
  opener.textContent = delivery.topic || "unknown";
  opener.setAttribute("aria-expanded", "false");
  opener.addEventListener("click", () => {
    below.hidden = !below.hidden;
    opener.setAttribute("aria-expanded", String(!below.hidden));
    row.classList.toggle("opened", !below.hidden);
  });
  topic.append(opener);
  row.className = "new";
  row.dataset.topic = delivery.topic;
  const at = cell("", new Date(delivery.at).toLocaleTimeString(undefined, { hour12: false }));
  at.title = delivery.at;
  row.append(at, topic, cell("subject", delivery.subject), cell("number", delivery.sequence ?? ""), signature(delivery));
  rows.prepend(row, below);
  while (rows.children.length > 2 * KEPT) rows.lastElementChild.remove();
  total = delivery.number;
  show(row);
  tell();
}

function show(row) {
  const wanted = row.dataset.topic.includes(filter.value.trim().toLowerCase());
  row.classList.toggle("unwanted", !wanted);
  row.hidden = !wanted;
  const below = row.nextElementSibling;
  below.hidden = !wanted || row.querySelector("button").getAttribute("aria-expanded") !== "true";
}

function tell() {
  empty.hidden = total > 0;
  count.textContent = total === 0 ? "nothing yet" : total > KEPT ? `${total} arrived, the last ${KEPT} shown` : `${total} arrived`;
}

function say(what, text) {
  state.dataset.state = what;
  state.textContent = text;
}

filter.addEventListener("input", () => rows.querySelectorAll("tr:not(.body)").forEach(show));
const live = new EventSource("/live");
live.addEventListener("begin", () => {
  rows.replaceChildren();
  total = 0;
  tell();
});
live.addEventListener("message", (message) => add(JSON.parse(message.data)));
live.addEventListener("open", () => say("live", "live"));
live.addEventListener("error", () => say("gone", "the sink is not there; trying again"));
