// Follows the page's event stream. The server sends pieces of the page ready made; this puts them in.
import { timesIn } from "./times.js";

export function live(main) {
  const lost = document.getElementById("lost");
  const said = document.getElementById("said");
  const tail = main.dataset.title ? ` · ${main.dataset.title} · Drydock` : null;
  // With its verdict a page only waits for what a trainer may add.
  let finished = "done" in main.dataset;
  let source = null;

  function follow() {
    const stream = (source = new EventSource(main.dataset.live));
    stream.addEventListener("open", () => { if (lost) lost.hidden = true; });
    stream.addEventListener("error", () => {
      // A short gap is no news; the browser connects again by itself.
      setTimeout(() => { if (lost && stream === source && stream.readyState !== EventSource.OPEN && !finished) lost.hidden = false; }, 2500);
      // A closed stream is not opened again by the browser: the server said no, which a reload explains.
      if (stream.readyState === EventSource.CLOSED && !finished) setTimeout(() => location.reload(), 5000);
    });
    stream.addEventListener("update", (event) => take(JSON.parse(event.data)));
  }

  function take(update) {
    if (update.reload) return location.reload();
    for (const patch of update.patches ?? []) put(patch);
    if (update.say && said) said.textContent = update.say;
    if (update.title && tail) document.title = update.title + tail;
    if (update.icon) icon(update.icon);
    if (update.done) {
      finished = true;
      document.getElementById("log-follow")?.remove();
      if (!update.more) source.close();
    }
  }

  follow();
  // A browser has few connections to one server: a finished page has one while it is looked at.
  document.addEventListener("visibilitychange", () => {
    if (!finished) return;
    source.close();
    if (document.visibilityState === "visible") follow();
  });
  addEventListener("pagehide", () => source.close());
  // A page that comes back from the browser's memory has missed what happened meanwhile.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

function put(patch) {
  const element = document.getElementById(patch.id);
  if (!element) return;
  if (patch.append) {
    element.querySelector(":scope > .waits")?.remove();
    element.insertAdjacentHTML("beforeend", patch.html);
    element.dispatchEvent(new CustomEvent("grown"));
    return;
  }
  const template = document.createElement("template");
  template.innerHTML = patch.html.trim();
  const fresh = template.content.firstElementChild;
  if (!fresh) return;
  // What the reader has opened stays open, and the focus stays where it was.
  const opened = [...element.querySelectorAll("details")].map((details) => details.open);
  [...fresh.querySelectorAll("details")].forEach((details, index) => { if (opened[index]) details.open = true; });
  const focused = element.contains(document.activeElement) ? path(element, document.activeElement) : null;
  fresh.classList.add("fresh");
  const listeners = element.id === "log" ? element : null;
  if (listeners) {
    // The log keeps its element, since its scrolling is listened to.
    listeners.replaceChildren(...fresh.childNodes);
    listeners.dispatchEvent(new CustomEvent("grown"));
  } else {
    element.replaceWith(fresh);
    if (focused) follow(fresh, focused)?.focus({ preventScroll: true });
  }
  timesIn(listeners ?? fresh);
}

function path(root, element) {
  const steps = [];
  for (let at = element; at !== root; at = at.parentElement) steps.unshift([...at.parentElement.children].indexOf(at));
  return steps;
}

function follow(root, steps) {
  return steps.reduce((at, step) => at?.children[step], root);
}

function icon(name) {
  const link = document.getElementById("favicon");
  if (link) link.href = link.href.replace(/favicon[a-z-]*\.svg$/, `favicon-${name}.svg`);
}
