// Before anything is drawn: the theme that was chosen on this page, if one was.
"use strict";
try {
  const chosen = localStorage.getItem("auditdeck-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing follows the system.
}

function switch_theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("auditdeck-theme", root.dataset.theme);
  } catch {
    // Then it holds for this page alone.
  }
  dispatchEvent(new Event("theme"));
}

addEventListener("DOMContentLoaded", () => document.getElementById("theme")?.addEventListener("click", switch_theme));
