// The log: follows its end until the reader scrolls away, and finds text.
export function log(part) {
  const box = part.querySelector("#log");
  const button = part.querySelector("#log-follow");
  const search = part.querySelector("#log-search");
  // A finished grading is read from its beginning, a running one from its end.
  let following = Boolean(button);

  const show = () => button?.setAttribute("aria-pressed", String(following));
  const end = () => { box.scrollTop = box.scrollHeight; };
  const set = (on) => {
    following = on;
    show();
    if (on) end();
  };
  button?.addEventListener("click", () => set(!following));
  if (button) box.addEventListener("scroll", () => {
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
    if (atEnd !== following) {
      following = atEnd;
      show();
    }
  });
  box.addEventListener("grown", () => {
    if (search.value) mark();
    if (following) end();
  });

  let hits = [];
  let current = -1;
  const clear = () => {
    for (const hit of box.querySelectorAll("mark")) hit.replaceWith(...hit.childNodes);
    for (const line of box.children) line.normalize();
    hits = [];
    current = -1;
  };
  const mark = () => {
    clear();
    const wanted = search.value.toLowerCase();
    if (wanted.length < 2) return;
    const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    for (let text of texts) {
      for (let at; (at = text.data.toLowerCase().indexOf(wanted)) >= 0;) {
        const hit = text.splitText(at);
        text = hit.splitText(wanted.length);
        const element = document.createElement("mark");
        hit.replaceWith(element);
        element.append(hit);
        hits.push(element);
      }
    }
  };
  const go = (step) => {
    if (!hits.length) return;
    current = (current + step + hits.length) % hits.length;
    following = false;
    show();
    hits[current].scrollIntoView({ block: "center" });
  };
  search.addEventListener("input", () => {
    mark();
    go(1);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      go(event.shiftKey ? -1 : 1);
    }
  });
  set(following);
  // What stopped a grading on its way is said at the end.
  if (!button && document.querySelector("#steps .step-failed + .step-skipped")) end();
}
