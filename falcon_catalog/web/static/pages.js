"use strict";
// What pages do beside htmx: numbers and times in the visitor's form and zone, copying, refreshing.
(() => {
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const steps = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30], ["month", 12], ["year", Infinity]];

  function relative(at) {
    let value = (at - Date.now()) / 1000;
    for (const [unit, size] of steps) {
      if (Math.abs(value) < size) return ago.format(Math.round(value), unit);
      value /= size;
    }
    return "";
  }

  function localise(root) {
    for (const each of root.querySelectorAll("time[datetime]")) {
      const at = new Date(each.dateTime);
      if (isNaN(at)) continue;
      if (!each.title) each.title = `${each.textContent}, ${relative(at)}`;
      each.textContent = local.format(at);
    }
    for (const each of root.querySelectorAll("data[data-digits]")) {
      const digits = Number(each.dataset.digits);
      const shown = each.dataset.shown || each.textContent.replaceAll(",", "");
      each.dataset.shown = shown;
      each.textContent = new Intl.NumberFormat(undefined, {
        minimumFractionDigits: digits, maximumFractionDigits: digits,
      }).format(Number(shown));
    }
  }

  function announce(text) {
    document.getElementById("announcer").textContent = text;
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      announce("Copied");
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1500);
    } catch {
      getSelection().selectAllChildren(source); // no clipboard outside a secure context
      announce("Selected: copy it with the keyboard");
    }
  });

  // A key that focuses a field, unless it is typed into another one.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const field = [...document.querySelectorAll("[data-key]")].find((each) => each.dataset.key === event.key);
    if (!field) return;
    event.preventDefault();
    field.focus();
  });

  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    if (event.target.matches("textarea[data-submit]")) event.target.form.requestSubmit();
  });

  // Elements with data-refresh ask htmx for their newest state each second while they are visible.
  setInterval(() => {
    if (document.visibilityState !== "visible" || !window.htmx) return;
    for (const each of document.querySelectorAll("[data-refresh]")) window.htmx.trigger(each, "refresh");
  }, 1000);

  // What is open stays open when a part of the page is replaced.
  let open = [];
  document.addEventListener("htmx:beforeSwap", () => {
    open = [...document.querySelectorAll("details[id][open]")].map((each) => each.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  });

  document.addEventListener("htmx:load", (event) => localise(event.detail.elt));
  document.addEventListener("htmx:responseError", () => announce("The server reported an error"));
  document.addEventListener("htmx:sendError", () => announce("The server does not answer"));
  localise(document);
})();
