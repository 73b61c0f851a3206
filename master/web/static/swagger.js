// The documentation at /api: Swagger UI, which gets the OpenAPI document of this master.

/** @type {any} */
const { SwaggerUIBundle: bundle } = window;
/** @type {any} */
const react = {};

/**
 * Writes texts of the document as elements. Swagger UI's own component writes HTML, which the page's policy forbids.
 * @param {{source?: string}} props
 */
function Markdown({ source = "" }) {
  const parts = source.split("`").map((text, at) => (at % 2 ? react.createElement("code", { key: at }, text) : text));
  return react.createElement("p", { className: "renderedMarkdown" }, ...parts);
}

/** @param {any} system */
function plainTexts(system) {
  Object.assign(react, system.React);
  return { components: { Markdown } };
}

bundle({ url: "/api-json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null, plugins: [plainTexts] });
