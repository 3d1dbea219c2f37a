// The editor of a file: line numbers, mistakes at their line while typing, preview of a statement.
// Without it the form is a plain text field that is saved.
export function editor(form) {
  const text = form.querySelector("#text");
  const gutter = form.querySelector(".gutter");
  const list = form.querySelector("#mistakes");
  const state = form.querySelector("#editor-state");
  const preview = document.getElementById("preview");
  const token = form.elements.namedItem("csrf").value;
  const path = form.elements.namedItem("path").value;
  const saved = text.value;
  let bad = new Map();
  let lines = -1;
  let asked = 0;

  form.classList.add("live");
  for (const item of list.querySelectorAll("[data-line]")) note(Number(item.dataset.line), item.classList.contains("is-waiting"), item.textContent);
  number();
  if (form.dataset.preview) show();

  function note(line, warning, message) {
    if (line > 0 && !(bad.has(line) && warning)) bad.set(line, { warning, message });
  }

  function number() {
    const count = text.value.split("\n").length;
    lines = count;
    gutter.replaceChildren(...Array.from({ length: count }, (_, index) => {
      const line = document.createElement("span");
      const wrong = bad.get(index + 1);
      line.textContent = index + 1;
      if (wrong) {
        line.className = wrong.warning ? "odd" : "bad";
        line.title = wrong.message;
      }
      return line;
    }));
    follow();
  }
  function follow() {
    gutter.scrollTop = text.scrollTop;
  }
  text.addEventListener("scroll", follow);

  let typing = null;
  text.addEventListener("input", () => {
    if (text.value.split("\n").length !== lines) number();
    say(text.value === saved ? "" : "Not saved");
    clearTimeout(typing);
    typing = setTimeout(() => { check(); if (form.dataset.preview) show(); }, 400);
  });
  function say(words) {
    if (state.textContent !== words) state.textContent = words;
  }

  async function send(address, accept) {
    return fetch(address, {
      method: "POST",
      headers: { "x-csrf-token": token, accept, "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ path, text: text.value }),
    });
  }
  async function check() {
    const mine = ++asked;
    let found;
    try {
      const answer = await send(form.dataset.check, "application/json");
      if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? `status ${answer.status}`);
      found = await answer.json();
    } catch (error) {
      say(`Not checked: ${error.message}`);
      return;
    }
    // A later question has a later text.
    if (mine !== asked) return;
    const own = found.filter((one) => one.file === path);
    bad = new Map();
    for (const one of own) note(one.line, one.warning, one.message);
    list.replaceChildren(...own.map(item));
    number();
    const others = found.length - own.length;
    const words = own.length ? `${own.length} ${own.length === 1 ? "mistake" : "mistakes"} here` : "No mistake here";
    say(`${text.value === saved ? "" : "Not saved. "}${words}${others ? `, ${others} in other files` : ""}.`);
  }
  function item(one) {
    const row = document.createElement("li");
    const name = one.warning ? "waiting" : "failed";
    row.className = `is-${name}`;
    row.dataset.line = one.line;
    const shape = new URL(`icons.svg#${name}`, import.meta.url);
    row.innerHTML = `<svg class="state is-${name}" aria-hidden="true"><use href="${shape}"/></svg><b></b> <span></span>`;
    row.querySelector("b").textContent = one.line ? `Line ${one.line}, column ${one.column}` : "The file";
    row.querySelector("span").textContent = one.message;
    return row;
  }
  // A mistake leads to its place.
  list.addEventListener("click", (event) => {
    const line = Number(event.target.closest("[data-line]")?.dataset.line);
    if (!line) return;
    const before = text.value.split("\n").slice(0, line - 1).join("\n").length;
    const start = before + (line > 1 ? 1 : 0);
    const end = text.value.indexOf("\n", start);
    text.focus();
    text.setSelectionRange(start, end < 0 ? text.value.length : end);
    text.scrollTop = Math.max(0, (line - 6) * parseFloat(getComputedStyle(text).lineHeight));
  });

  async function show() {
    try {
      const answer = await send(form.dataset.preview, "text/html");
      if (!answer.ok) return;
      preview.innerHTML = await answer.text();
      preview.hidden = false;
    } catch {
      // The preview stays as it was.
    }
  }

  text.addEventListener("keydown", (event) => {
    if (event.key === "s" && (event.ctrlKey || event.metaKey) && !event.altKey) {
      event.preventDefault();
      form.requestSubmit(form.querySelector('button[value="save"]'));
    }
  });
  let leaving = false;
  form.addEventListener("submit", () => { leaving = true; });
  addEventListener("beforeunload", (event) => { if (!leaving && text.value !== saved) event.preventDefault(); });
}
