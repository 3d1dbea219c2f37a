// Starts what the page at hand needs. Every page works without any of it.
import { times } from "./times.js";
import { copying } from "./copy.js";

times();
copying();
const on = (selector, start) => {
  const element = document.querySelector(selector);
  if (element) start(element);
};
on("[data-live]", async (main) => (await import("./live.js")).live(main));
on(".console", async (part) => (await import("./log.js")).log(part));
on("#hand-in", async (form) => (await import("./upload.js")).upload(form));
on("#workshop-order", async (form) => (await import("./workshop.js")).workshop(form));
on("#people-import", (form) => {
  // A file is read into the list, where it can be looked at and mended.
  form.querySelector("#file").addEventListener("change", async (event) => {
    const file = event.target.files[0];
    if (file) form.querySelector("#list").value = await file.text();
  });
});
on("#editor", async (form) => (await import("./editor.js")).editor(form));
on("[data-key], [data-save]", async () => (await import("./keys.js")).keys());
on("#countdown", async (time) => (await import("./countdown.js")).countdown(time));
on("form[data-zones]", async () => (await import("./zones.js")).zones());
on("#grid", async (box) => (await import("./grid.js")).grid(box));

// An open menu closes when the reader turns elsewhere.
on(".menu", (menu) => {
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
});
