// Labels of a resource, each a link to everything that has it.
import { link } from "../../router.js";
import { html } from "../../view.js";

/** @param {{labels: Record<string, string>, path: string}} props `path`: the list to which they lead */
export function Labels({ labels, path }) {
  return html`<span class="labels">${Object.entries(labels).map(
    ([key, value]) =>
      html`<a class="label" key=${key} href=${link(path, { label: `${key}:${value}` })}>${key}:${value}</a>`,
  )}</span>`;
}
