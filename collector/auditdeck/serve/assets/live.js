// New numbers as they come, and keys.
"use strict";

let stream = null;
let late = false;
let heard = false;

async function refresh() {
  if (document.hidden) {
    late = true;
    return;
  }
  late = false;
  const old = document.getElementById("main");
  const busy = old.querySelector("details.menu[open]") || old.querySelector("input:focus, select:focus");
  if (busy) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = document.importNode(page.getElementById("main"), true);
  for (const open of old.querySelectorAll("details[id][open]")) {
    const same = fresh.querySelector(`#${CSS.escape(open.id)}`);
    if (same) same.open = true;
  }
  const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  // A chart's place stays: it moves to its new numbers instead of being drawn anew.
  for (const place of old.querySelectorAll("[id^=chart-]")) {
    fresh.querySelector(`#${CSS.escape(place.id)}`)?.replaceWith(place);
  }
  old.replaceWith(fresh);
  document.title = page.title;
  if (focused) fresh.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  if (typeof draw_all === "function") draw_all();
}

function listen(wanted) {
  stream?.close();
  stream = null;
  const button = document.getElementById("live");
  button.setAttribute("aria-pressed", String(wanted));
  if (!wanted) return;
  stream = new EventSource(document.body.dataset.changes);
  stream.addEventListener("changed", () => refresh().catch(() => {}));
  stream.addEventListener("open", () => {
    button.classList.remove("lost");
    // What changed while nobody listened is not told.
    if (heard) refresh().catch(() => {});
    heard = true;
  });
  stream.addEventListener("error", () => button.classList.add("lost"));
}

addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("live");
  if (!button) return;
  listen(true);
  button.addEventListener("click", () => listen(button.getAttribute("aria-pressed") !== "true"));
});
addEventListener("visibilitychange", () => {
  if (!document.hidden && late) refresh().catch(() => {});
});
// A page in the browser's memory of where it was must not hold a connection.
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => {
  if (event.persisted && document.getElementById("live")?.getAttribute("aria-pressed") === "true") listen(true);
});

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
    return;
  }
  if (event.target.closest("input, select, textarea")) return;
  const found = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!found) return;
  event.preventDefault();
  found.click();
  const menu = found.closest("details.menu");
  if (menu?.open) menu.querySelector("select, input:not([type=hidden])")?.focus();
});
// One menu at a time, and none after a click elsewhere.
addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
