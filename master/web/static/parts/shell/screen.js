// The frame of a screen.
import { html } from "../../view.js";

/**
 * The frame of a screen: its title, what can be done there, and its content.
 * @param {{title: any, lead?: any, actions?: any, children?: any, fills?: boolean}} props `fills`: a table takes all the height
 */
export function Page({ title, lead, actions, children, fills }) {
  return html`<div class=${fills ? "screen fills" : "screen"}>
    <div class="screen-head"><h1>${title}</h1>${lead && html`<div class="lead">${lead}</div>`}<div class="actions">${actions}</div></div>
    ${children}
  </div>`;
}
