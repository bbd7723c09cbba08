// Live updates, keys and range selection. Every page works without this file.
"use strict";
(() => {
  const main = document.getElementById("main");
  const rows = () => [...document.querySelectorAll("table.list tbody tr")];
  let here = -1, last = -1, went = false;

  function move(step) {
    const all = rows();
    if (!all.length) return;
    here = Math.max(0, Math.min(all.length - 1, here + step));
    all.forEach((row, place) => row.classList.toggle("here", place === here));
    all[here].focus({ preventScroll: true });
    all[here].scrollIntoView({ block: "nearest" });
  }

  function select(range) {
    const boxes = rows().map((row) => row.querySelector("input[type=checkbox]"));
    if (here < 0 || !boxes[here]) return;
    boxes[here].checked = !boxes[here].checked;
    if (range && last >= 0) {
      const [from, to] = [Math.min(last, here), Math.max(last, here)];
      for (let place = from; place <= to; place++) boxes[place].checked = boxes[here].checked;
    }
    last = here;
  }

  const places = { o: "/", m: "/messages", d: "/dead", c: "/campaigns" };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    if (went && places[event.key]) return void (location.href = places[event.key]);
    went = event.key === "g";
    switch (event.key) {
      case "j": move(1); break;
      case "k": move(-1); break;
      case "x": case "X": select(event.shiftKey); break;
      case "Enter": {
        const row = rows()[here];
        if (row && row.dataset.href && event.target === row) location.href = row.dataset.href;
        return;
      }
      case "/": {
        const box = document.getElementById("q");
        if (!box) return;
        box.focus(); box.select(); break;
      }
      case "r": case "e": document.querySelector(`[data-key=${event.key}]`)?.click(); break;
      case "?": document.getElementById("help").showModal(); break;
      default: return;
    }
    event.preventDefault();
  });

  document.addEventListener("change", (event) => {
    if (event.target.id !== "all") return;
    for (const row of rows()) {
      const box = row.querySelector("input[name=id]");
      if (box) box.checked = event.target.checked;
    }
  });

  // What cannot be undone asks once more, with the focus on Cancel.
  const sure = document.getElementById("sure");
  document.addEventListener("submit", (event) => {
    const text = event.submitter?.dataset.sure || event.target.dataset.sure;
    if (!text || event.target.dataset.agreed) return;
    event.preventDefault();
    document.getElementById("sure-text").textContent = text;
    sure.returnValue = "no";
    sure.showModal();
    sure.onclose = () => {
      if (sure.returnValue !== "yes") return;
      event.target.dataset.agreed = "1";
      event.target.requestSubmit(event.submitter);
    };
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });

  // Rows never move under the pointer: a list only says how many are new, and shows them when it is asked to.
  const fresh = main.dataset.fresh;
  let asked = 0;
  async function look() {
    if (!document.hidden) {
      try {
        const answer = await fetch(fresh);
        if (!answer.ok) throw new Error(answer.status);
        const found = await answer.json();
        if (found.new) say(found.new);
        asked = 0;
      } catch { asked++; }
    }
    setTimeout(look, 5000 * Math.min(8, 2 ** asked));
  }
  function say(count) {
    let button = document.getElementById("fresh");
    if (!button) {
      button = document.createElement("button");
      button.id = "fresh";
      button.className = "fresh primary";
      button.setAttribute("aria-live", "polite");
      button.addEventListener("click", () => location.reload());
      main.prepend(button);
    }
    button.textContent = `${count > 1000 ? "more than 1000" : count} new · show`;
  }
  if (fresh) setTimeout(look, 5000);

  // A live page shows itself again, unless somebody reads a hidden tab, writes, selects or answers a dialog.
  let wait = Number(main.dataset.live || 0), failures = 0;
  const busy = () =>
    document.hidden || document.querySelector("dialog[open]") || document.querySelector("main input:checked") ||
    (document.activeElement && main.contains(document.activeElement) && document.activeElement.matches("input, select, button, summary")) ||
    [...main.querySelectorAll("input:not([type=hidden]):not([type=checkbox]):not([type=search])")].some((box) => box.value);
  async function refresh() {
    if (!busy()) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
        if (!answer.ok) throw new Error(answer.status);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById("main");
        if (fresh && !busy()) {
          main.replaceChildren(...fresh.childNodes);
          document.querySelector(".foot span").textContent = page.querySelector(".foot span").textContent;
          wait = Number(fresh.dataset.live || 0);
          here = -1;
        }
        failures = 0;
      } catch { failures++; }
    }
    if (wait) setTimeout(refresh, wait * 1000 * Math.min(8, 2 ** failures));
  }
  if (wait) setTimeout(refresh, wait * 1000);
})();
