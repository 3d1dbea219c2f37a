// Handing in: drop or choose a folder or an archive, see what goes, see it going.
export function upload(form) {
  const button = form.querySelector("button.submit");
  if (!("upload" in form.dataset)) {
    // Only answers: the form goes by itself, once.
    form.addEventListener("submit", () => setTimeout(() => { button.disabled = true; }));
    addEventListener("pageshow", () => { button.disabled = false; });
    return;
  }
  const drop = form.querySelector("#drop");
  const chosen = form.querySelector("#chosen");
  const sending = form.querySelector("#sending");
  const bar = sending.querySelector("progress");
  const part = form.querySelector("#sending-part");
  const archive = form.elements.namedItem("archive");
  const folder = form.elements.namedItem("files");
  const maxBytes = Number(form.dataset.maxBytes);
  const maxEntries = Number(form.dataset.maxEntries);
  // What is handed in: {archive: File} or {files: [[path, File]]}.
  let picked = null;
  let running = null;

  const size = (bytes) =>
    bytes < 1024 ? `${bytes} bytes` : bytes < 1048576 ? `${Math.round(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
  const files = (number) => `${number} ${number === 1 ? "file" : "files"}`;

  function refuse(text) {
    clear();
    const notice = document.createElement("div");
    notice.className = "notice is-failed";
    notice.id = "refusal";
    notice.setAttribute("role", "alert");
    const shape = new URL("icons.svg#failed", import.meta.url);
    notice.innerHTML = `<svg class="state is-failed" aria-hidden="true"><use href="${shape}"/></svg><div></div>`;
    notice.lastElementChild.textContent = text;
    form.before(notice);
  }
  function clear() {
    document.getElementById("refusal")?.remove();
  }
  function pick(what) {
    clear();
    picked = null;
    chosen.hidden = true;
    if (what.archive) {
      if (what.archive.size > maxBytes) {
        return refuse(`${what.archive.name} has ${size(what.archive.size)}; at most ${size(maxBytes)} can be handed in.`);
      }
      chosen.textContent = `${what.archive.name}, ${size(what.archive.size)}`;
    } else {
      const bytes = what.files.reduce((sum, [, file]) => sum + file.size, 0);
      if (!what.files.length) return refuse("This folder has no files in it.");
      const name = what.files[0][0].split("/")[0];
      if (what.files.length > maxEntries) {
        return refuse(`${name} has ${files(what.files.length)}; at most ${maxEntries} can be handed in. Leave out ${form.dataset.leaveOut}.`);
      }
      if (bytes > maxBytes) {
        return refuse(`${name} has ${size(bytes)}; at most ${size(maxBytes)} can be handed in. Leave out ${form.dataset.leaveOut}.`);
      }
      chosen.textContent = `${name}, ${files(what.files.length)}, ${size(bytes)}`;
    }
    picked = what;
    chosen.hidden = false;
    button.focus({ preventScroll: true });
  }

  archive.addEventListener("change", () => {
    if (archive.files.length) {
      if (folder) folder.value = "";
      pick({ archive: archive.files[0] });
    }
  });
  folder?.addEventListener("change", () => {
    if (folder.files.length) {
      archive.value = "";
      pick({ files: [...folder.files].map((file) => [file.webkitRelativePath || file.name, file]) });
    }
  });

  let depth = 0;
  const over = (on) => drop.classList.toggle("over", on);
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    form.addEventListener(type, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      if (type === "dragenter") depth += 1;
      if (type === "dragleave") depth -= 1;
      if (type === "drop") depth = 0;
      over(depth > 0);
    });
  }
  // A file dropped beside the target must not replace the page.
  for (const type of ["dragover", "drop"]) addEventListener(type, (event) => event.preventDefault());
  form.addEventListener("drop", async (event) => {
    // Entries have to be asked for before the first wait.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const single = entries.length === 1 && entries[0].isFile ? event.dataTransfer.files[0] : null;
    archive.value = "";
    if (folder) folder.value = "";
    if (single && /\.(zip|tar|tgz|gz)$/i.test(single.name)) return pick({ archive: single });
    if (!folder) return refuse("Drop the one file that docker save wrote, a .tar or .tar.gz.");
    try {
      const found = [];
      for (const entry of entries) await collect(entry, "", found);
      // Loose files get the folder that every other way of handing in has.
      const loose = entries.length !== 1 || entries[0].isFile;
      pick({ files: found.map(([path, file]) => [loose ? `files/${path}` : path, file]) });
    } catch (error) {
      refuse(`The folder could not be read: ${error.message}`);
    }
  });
  async function collect(entry, above, found) {
    if (found.length > maxEntries) return;
    const path = above + entry.name;
    if (entry.isFile) {
      found.push([path, await new Promise((done, failed) => entry.file(done, failed))]);
      return;
    }
    const reader = entry.createReader();
    // The reader gives at most 100 entries at a time and none at the end.
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      for (const inner of some) await collect(inner, `${path}/`, found);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (running) return;
    // What stayed in the form from the last time gives way to a file that was chosen now.
    const addresses = [...form.querySelectorAll("[data-address]")];
    if (picked) for (const field of form.querySelectorAll(".address input")) field.value = "";
    if (!picked && !form.querySelector(".question") && !addresses.some((field) => field.value.trim())) {
      return refuse(folder ? "Choose an archive or a folder first." : "Choose the saved image first.");
    }
    clear();
    const data = new FormData();
    // The token has to come first: the server looks at it before it reads the files.
    for (const [name, value] of new FormData(form)) if (typeof value === "string") data.append(name, value);
    if (picked?.archive) data.append("archive", picked.archive);
    for (const [path, file] of picked?.files ?? []) data.append("files", file, path);
    send(data);
  });
  function send(data) {
    const request = (running = new XMLHttpRequest());
    const over = (text) => {
      running = null;
      button.disabled = false;
      sending.hidden = true;
      if (text) refuse(text);
    };
    button.disabled = true;
    sending.hidden = false;
    bar.value = 0;
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      const percent = Math.floor((event.loaded / event.total) * 100);
      bar.value = percent;
      part.textContent = percent < 100 ? `${percent} %` : "Taking it in…";
    });
    request.addEventListener("load", () => {
      const answer = request.response ?? {};
      if (request.status === 201 && answer.location) return location.assign(answer.location);
      over(answer.detail ?? `The server answered with status ${request.status}. Nothing was handed in; try again.`);
    });
    request.addEventListener("error", () => over("The connection broke off, so nothing was handed in. Try again."));
    request.addEventListener("timeout", () => over("This took too long, so nothing was handed in. Try again."));
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.send(data);
  }
  addEventListener("beforeunload", (event) => { if (running && !sending.hidden && bar.value < 100) event.preventDefault(); });
}
