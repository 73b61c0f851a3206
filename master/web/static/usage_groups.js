// What usage can be grouped by: the name of a group, and the filter that is left of it alone.
import { nameOf } from "./names.js";
import { customerLabel } from "./prefs.js";
import { values, without } from "./query.js";
import { t } from "./words.js";

/** @typedef {import("./query.js").Query} Query */
/**
 * @typedef {object} Group
 * @property {() => string} by as the API takes it
 * @property {(sum: any) => string | number | null} idOf
 * @property {(sum: any) => string} nameOf
 * @property {(id: string | number, filter: Query) => Query} only
 */

/** @param {"location" | "node" | "stack"} kind @returns {Group} */
const named = (kind) => ({
  by: () => kind,
  idOf: (sum) => sum[`${kind}_id`],
  nameOf: (sum) => nameOf(`${kind}s`, sum[`${kind}_id`]),
  only: (id, filter) => ({ ...without(filter, kind, `${kind}_id`), [`${kind}_id`]: id }),
});

/** @type {Record<string, Group>} */
export const GROUPS = {
  location: named("location"),
  node: named("node"),
  stack: named("stack"),
  customer: {
    by: () => `label:${customerLabel.value}`,
    idOf: (sum) => sum.labels[customerLabel.value],
    nameOf: (sum) => String(sum.labels[customerLabel.value]),
    only: (id, filter) => {
      const own = `${customerLabel.value}:${id}`;
      return { ...filter, label: [...values(filter, "label").filter((one) => one !== own), own] };
    },
  },
  proxy: {
    by: () => "proxy",
    idOf: (sum) => sum.proxy_id,
    nameOf: (sum) => sum.proxy_name ?? `${t("kind.proxy")} ${sum.proxy_id}`,
    only: (id, filter) => ({ ...filter, proxy_id: id }),
  },
};
