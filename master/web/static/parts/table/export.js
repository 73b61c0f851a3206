// Exports of exactly the filter that is shown.
import { save } from "../../api.js";
import { curl } from "../../curl.js";
import { problemOf } from "../../store.js";
import { html } from "../../view.js";
import { t } from "../../words.js";
import { CopyButton } from "../elements/copy.js";
import { Menu } from "../elements/menu.js";
import { problemText } from "../elements/notice.js";
import { toast } from "../elements/toast.js";

const FORMATS = { plain: "txt", csv: "csv", json: "json" };

/** @param {{filter: import("../../query.js").Query}} props */
export function ExportMenu({ filter }) {
  const query = (/** @type {string} */ format) => ({ ...filter, format });
  return html`<${Menu} label=${t("export")} words=${t("export")} icon="down">
    ${Object.entries(FORMATS).map(
      ([format, ending]) =>
        html`<button type="button" key=${format} onClick=${() => void exported(query(format), `proxies.${ending}`)}>${t(`export.${format}`)}</button>`,
    )}
    <${CopyButton} text=${() => curl({ method: "GET", path: "/proxies/export", query: query("plain") }, location.origin)} label=${t("copy_curl")} icon="terminal" words=${t("copy_curl")} />
  <//>`;
}

/** @param {import("../../query.js").Query} query @param {string} name */
const exported = (query, name) =>
  save("/proxies/export", query, name).catch((error) => toast(problemText(problemOf(error)), { kind: "bad" }));
