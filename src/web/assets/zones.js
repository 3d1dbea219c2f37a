// Dates are kept in UTC; here they are shown and written in the reader's zone.
const pad = (number) => String(number).padStart(2, "0");
const local = (date) =>
  `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}T${pad(date.getHours())}:${pad(date.getMinutes())}`;

export function zones() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const form of document.querySelectorAll("form[data-zones]")) {
    for (const field of form.querySelectorAll("input[type=datetime-local]")) {
      const sent = document.createElement("input");
      sent.type = "hidden";
      sent.name = field.name;
      sent.value = field.value;
      field.removeAttribute("name");
      field.after(sent);
      if (field.value) field.value = local(new Date(`${field.value}Z`));
      const take = () => {
        const date = new Date(field.value);
        sent.value = field.value && !Number.isNaN(date.getTime()) ? date.toISOString().slice(0, 16) : "";
      };
      field.addEventListener("input", take);
      field.addEventListener("change", take);
    }
    for (const note of form.querySelectorAll("[data-zone]")) note.textContent = `Times are those of your zone, ${zone}.`;
  }
}
