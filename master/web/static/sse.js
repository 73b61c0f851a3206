// Reads the text of an event stream (WHATWG HTML, 9.2.6). Pure.

/** @typedef {{id: string | null, type: string, data: string | null}} Frame `data` is null in a comment with an id. */

/**
 * Cuts the frames that are complete off a text.
 * @param {string} text
 * @returns {[Frame[], string]} the frames, and the rest that waits for more
 */
export function frames(text) {
  const blocks = text.replaceAll("\r\n", "\n").split("\n\n");
  const rest = blocks.pop() ?? "";
  return [blocks.filter(Boolean).map(frame), rest];
}

/** @param {string} block @returns {Frame} */
function frame(block) {
  /** @type {Frame} */
  const found = { id: null, type: "message", data: null };
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? ["", "", ""];
    if (name === "id") found.id = value;
    if (name === "event") found.type = value;
    if (name === "data") found.data = found.data === null ? value : `${found.data}\n${value}`;
  }
  return found;
}
