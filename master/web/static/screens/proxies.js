// Proxies: the fleet as one list, and what is done to many of them.

import { filterOf } from "../filter.js";
import { beginList, useList } from "../list.js";
import { named } from "../names.js";
import { Empty } from "../parts/elements/notice.js";
import { StateLinks, tallied } from "../parts/elements/states.js";
import { ProxyActions } from "../parts/proxies/actions.js";
import { COLUMNS, copyUrl } from "../parts/proxies/columns.js";
import { Page } from "../parts/shell/screen.js";
import { ColumnMenu } from "../parts/table/columns.js";
import { ExportMenu } from "../parts/table/export.js";
import { FilterBar } from "../parts/table/filterbar.js";
import { Table, Total } from "../parts/table/table.js";
import { without } from "../query.js";
import { go, link, route, setQuery } from "../router.js";
import { NOTHING } from "../selection.js";
import { useRead } from "../store.js";
import { html, signal, useMemo } from "../view.js";
import { t } from "../words.js";

const COUNTED = { counts: true };
/** What the list asks for. @param {import("../query.js").Query} query */
const asked = (query) => ({ ...query, secrets: "no" });

/** Begins to read the list, before the screen can be shown. @param {import("../query.js").Query} query */
Proxies.begin = (query) => beginList("proxies", asked(query), COUNTED);

export default function Proxies() {
  const query = route.value.query;
  const filter = filterOf(query);
  const list = useList("proxies", asked(query), COUNTED);
  const selection = useMemo(() => signal(NOTHING), [list]);
  const states = useRead(
    "/proxies/count",
    { ...without(filter, "state", "not.state"), by: "state" },
    { on: ["proxies"], pause: 2000 },
  );
  const names = (/** @type {"nodes" | "locations"} */ kind) => [...named(kind).values()].map((one) => one.name);
  const onSort = (/** @type {string} */ sort) => setQuery({ ...query, sort: sort === "id" ? null : sort });
  const actions = html`<${ExportMenu} filter=${filter} /><${ColumnMenu} name="proxies" columns=${COLUMNS} />
    <a class="button primary" href=${link("/proxies/create")}>${t("nav./proxies/create")}</a>`;
  return html`<${Page} fills title=${t("nav./proxies")} lead=${html`<${Total} list=${list} />`} actions=${actions}>
    <${FilterBar} name="proxies" path="/proxies" values=${{ node: names("nodes"), location: names("locations") }} counts />
    <div class="bar"><${StateLinks} counts=${tallied(states.data?.items, "state")} path="/proxies" query=${without(query, "state", "not.state")} /></div>
    <${ProxyActions} list=${list} selection=${selection} filter=${filter} />
    <${Table} name="proxies" label=${t("nav./proxies")} list=${list} columns=${COLUMNS} selection=${selection} sort=${String(query.sort ?? "id")}
      onSort=${onSort} onOpen=${(/** @type {any} */ proxy) => go(`/proxies/${proxy.id}`)} onCopy=${copyUrl}
      empty=${html`<${Nothing} isFiltered=${Object.keys(filter).length > 0} />`} />
  <//>`;
}

/** @param {{isFiltered: boolean}} props */
function Nothing({ isFiltered }) {
  if (isFiltered) return html`<${Empty} title=${t("proxies.no_match")}><p>${t("proxies.no_match_text")}</p><//>`;
  return html`<${Empty} title=${t("proxies.none")}><p>${t("proxies.none_text")}</p>
    <a class="button primary" href=${link("/proxies/create")}>${t("nav./proxies/create")}</a><//>`;
}
