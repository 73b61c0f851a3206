// A bar that shows how much of a limit is used.
import { classes, html } from "../../view.js";

const HIGH = 0.8;

/** @param {{share: number, words: string, title?: string, plain?: boolean}} props `plain`: a share of a whole, which is no limit */
export function Meter({ share, words, title, plain }) {
  const width = `${Math.min(share, 1) * 100}%`;
  return html`<span class="meter" title=${title}><span class="meter-track" aria-hidden="true">
    <i class=${classes(!plain && share >= HIGH && "high", !plain && share >= 1 && "full")} style=${{ width }} /></span><span>${words}</span></span>`;
}
