// What every page does: keys, dialogs, pictures that are dropped or pasted.
"use strict";

const form = () => document.getElementById("quick");

function searchBy(files) {
  const pictures = [...files].filter((file) => file.type.startsWith("image/"));
  if (!pictures.length) return false;
  const chosen = new DataTransfer();
  pictures.forEach((file) => chosen.items.add(file));
  document.getElementById("quick-file").files = chosen.files;
  form().requestSubmit();
  return true;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]") && event.target.value) event.target.form.requestSubmit();
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
});

document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button")) setTimeout(() => (button.disabled = true));
});
function enable(within) {
  within.querySelectorAll("form button:disabled:not([data-off])").forEach((button) => (button.disabled = false));
}
window.addEventListener("pageshow", () => enable(document));
document.addEventListener("htmx:afterRequest", (event) => {
  setTimeout(() => enable(document));
  if (event.detail.successful) document.querySelectorAll(".said").forEach((one) => one.remove());
});
// What htmx could not do is said where it was asked for.
for (const trouble of ["htmx:responseError", "htmx:sendError"])
  document.addEventListener(trouble, (event) => {
    if (event.detail.requestConfig?.verb !== "post") return;
    const said = document.createElement("span");
    said.className = "warning said";
    said.setAttribute("role", "alert");
    const page = new DOMParser().parseFromString(event.detail.xhr?.responseText || "", "text/html");
    said.textContent = page.querySelector("main .message")?.textContent || "The server does not answer; is it still running?";
    document.querySelectorAll(".said").forEach((one) => one.remove());
    event.target.after(said);
  });

document.addEventListener("paste", (event) => {
  if (searchBy(event.clipboardData.files)) event.preventDefault();
});
const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.getElementById("drop").hidden = false;
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.getElementById("drop").hidden = true;
});
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.getElementById("drop").hidden = true;
  searchBy(event.dataTransfer.files);
});

// ---- keys

const pages = { p: "/", f: "/find", r: "/recordings", c: "/corrections", s: "/cases", t: "/tray" };
let going = false;

// What a key does to the card under the keys; where none is, to what the page is about.
function meant(key) {
  const card = document.activeElement.closest("article, li");
  const wanted = `[data-key="${key}"]`;
  return card?.querySelector(wanted) ?? [...document.querySelectorAll(wanted)].find((one) => !one.closest("article, li"));
}

function neighbour(cell, key) {
  const here = cell.getBoundingClientRect();
  const horizontal = key === "ArrowLeft" || key === "ArrowRight";
  const forward = key === "ArrowRight" || key === "ArrowDown";
  const cells = [...document.querySelectorAll("[data-cell]")];
  if (horizontal) return cells[cells.indexOf(cell) + (forward ? 1 : -1)];
  let best = null;
  let least = Infinity;
  for (const other of cells) {
    const there = other.getBoundingClientRect();
    const away = forward ? there.top - here.top : here.top - there.top;
    if (away < here.height / 2) continue;
    const distance = away * 10 + Math.abs(there.left - here.left);
    if (distance < least) [best, least] = [other, distance];
  }
  return best;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.matches("input:not([type=checkbox], [type=file]), textarea, select") || document.querySelector("dialog[open]")) return;
  if (going) {
    going = false;
    event.stopImmediatePropagation(); // the player has keys of the same letters
    if (pages[event.key]) location.href = pages[event.key];
    return;
  }
  if (event.key === "?") document.getElementById("keys").showModal();
  else if (event.key === "g") going = true;
  else if (["t", "f", "c"].includes(event.key)) meant(event.key)?.click();
  else if (event.key === "/") {
    const box = document.querySelector("[data-filters]");
    if (box) box.open = true;
    const field = ["[data-first]", ".filterbox [name=from]", "#quick-file"].map((one) => document.querySelector(one)).find(Boolean);
    if (field) field.focus();
    event.preventDefault();
  } else if (event.key.startsWith("Arrow")) {
    const cell = document.activeElement.closest("[data-cell]");
    const next = cell ? neighbour(cell, event.key) : document.body.dataset.player ? null : document.querySelector("[data-cell]");
    if (next) {
      next.focus();
      next.scrollIntoView({ block: "nearest" });
      event.preventDefault();
    }
  }
});
