// What a stack is and what it should be. Pure.

/** How many proxies of a stack there are, in any state. @param {{status: Record<string, number>}} stack */
export const thereOf = ({ status }) => Object.values(status).reduce((sum, count) => sum + count, 0);

/**
 * The body of PUT /stacks/by-name/{name} that makes this stack, here or on another master.
 * @param {any} stack
 */
export const putOf = ({ count, spread, proxy, labels }) => ({ count, spread, proxy, labels });

/** The call with that body. @param {any} stack @returns {import("./curl.js").Call} */
export const putCall = (stack) => ({
  method: "PUT",
  path: `/stacks/by-name/${encodeURIComponent(stack.name)}`,
  body: putOf(stack),
});
