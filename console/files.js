// Files as a person gives them: picked, as a folder, or dropped.

import { h } from "./dom.js";

/** What can be minted. */
export const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/** A place that takes files in each of these ways. @param {(files: File[]) => Promise<void>} take */
export function dropZone(take) {
  const accept = [...IMAGES, ".csv", ".json"].join(",");
  /** @param {string} text @param {Record<string, any>} more */
  const picker = (text, more) => {
    const input = h("input", {
      type: "file",
      multiple: true,
      "aria-label": text,
      onchange: () => take([...(input.files ?? [])]),
      ...more,
    });
    return h("label", null, input, h("span", { class: "button" }, text));
  };
  const zone = h(
    "section",
    {
      class: "card zone",
      "aria-label": "Files",
      ondragover: (/** @type {DragEvent} */ event) => (event.preventDefault(), zone.classList.add("over")),
      ondragleave: () => zone.classList.remove("over"),
      ondrop: async (/** @type {DragEvent} */ event) => {
        event.preventDefault();
        zone.classList.remove("over");
        await take(await dropped(/** @type {DataTransfer} */ (event.dataTransfer)));
      },
    },
    h("h2", null, "Drop a folder of images here"),
    h(
      "p",
      { class: "muted" },
      "With a CSV or JSON of names beside them: ",
      h("code", null, "image, name, description, symbol, external_url, copies"),
      "; others are attributes.",
    ),
    h(
      "div",
      { class: "row" },
      picker("Choose files", { accept }),
      picker("Choose a folder", { webkitdirectory: true }),
    ),
  );
  return zone;
}

/** The files of what was dropped, those of folders too. @param {DataTransfer} transfer @returns {Promise<File[]>} */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map(filesOf))).flat();
}

/** @param {any} entry @returns {Promise<File[]>} */
async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  /** @type {File[]} */
  const found = [];
  for (;;) {
    // A reader tells some entries at a time, and none at the end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    found.push(...(await Promise.all(some.map(filesOf))).flat());
  }
}
