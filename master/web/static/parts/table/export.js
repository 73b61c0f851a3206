// Exports of exactly the filter that is shown.
import { curl } from "../../curl.js";
import { address } from "../../query.js";
import { html } from "../../view.js";
import { t } from "../../words.js";
import { CopyButton } from "../elements/copy.js";
import { Menu } from "../elements/menu.js";

const FORMATS = { plain: "txt", csv: "csv", json: "json" };

/** @param {{filter: import("../../query.js").Query}} props */
export function ExportMenu({ filter }) {
  const query = (/** @type {string} */ format) => ({ ...filter, format });
  return html`<${Menu} label=${t("export")} words=${t("export")} icon="down">
    ${Object.entries(FORMATS).map(
      ([format, ending]) =>
        html`<a key=${format} href=${address("/proxies/export", query(format))} download=${`proxies.${ending}`}>${t(`export.${format}`)}</a>`,
    )}
    <${CopyButton} text=${() => curl({ method: "GET", path: "/proxies/export", query: query("plain") }, location.origin)} label=${t("copy_curl")} icon="terminal" words=${t("copy_curl")} />
  <//>`;
}
