// Selling: a customer gets proxies that nobody has yet, in one call that is tried out first.
import { announce } from "../../changes.js";
import { named } from "../../names.js";
import { link } from "../../router.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { Fields } from "../forms/form.js";
import { Rehearsal } from "../forms/rehearsal.js";
import { Texts } from "./link_dialog.js";

/** @param {{label: string, known: string[], onClose: () => void}} props `label`: the key of the label. `known`: the customers */
export function Sell({ label, known, onClose }) {
  const [customer, setCustomer] = useState("");
  const [from, setFrom] = useState("");
  const [rest, setRest] = useState(/** @type {any} */ ({ count: 1 }));
  const [sold, setSold] = useState(/** @type {any[] | null} */ (null));
  const [member, id] = from.split(" ");
  const labels = { [label]: customer.trim() };
  const body = { ...rest, ...(from ? { filter: { [member]: Number(id) } } : {}), labels };
  const isReady = customer.trim() !== "" && rest.count >= 1;
  if (sold) {
    const query = { label: `${label}:${customer.trim()}` };
    return html`<${Texts} title=${t("customers.sold", { n: sold.length, customer })} hint=${t("customers.sold_text")} texts=${sold.flatMap((one) => one.urls ?? [])} onClose=${onClose}>
      <a class="button" href=${link("/proxies", query)}>${t("customers.show")}</a><//>`;
  }
  const onDone = (/** @type {any} */ answer) => {
    announce("proxies");
    setSold(answer.items);
    return true;
  };
  return html`<${Rehearsal} title=${t("customers.sell_title")} call=${{ method: "POST", path: "/proxies/claim", body }} expects=${false} ready=${isReady}
    action=${t("customers.sell_action", { n: rest.count ?? 0 })} done=${() => t("customers.sold", { n: rest.count, customer })} onClose=${onClose} onDone=${onDone}>
    ${(
      /** @type {any} */ problem,
    ) => html`<p class="explained">${t("customers.sell_text", { label })}</p><div class="form">
      <div class="columns-2">
        <div class="field"><label for="customer">${t("customers.customer", { label })}<span class="required"> *</span></label>
          <input id="customer" type="text" autocomplete="off" list="customers-known" value=${customer} onInput=${(/** @type {any} */ event) => setCustomer(event.target.value)} />
          <datalist id="customers-known">${known.map((one) => html`<option value=${one} key=${one} />`)}</datalist></div>
        <div class="field"><label for="from">${t("customers.from")}</label><${From} value=${from} set=${setFrom} /></div>
      </div>
      <${Fields} schema="ClaimRequest" only=${["count", "rotate"]} body=${rest} onChange=${setRest} problem=${problem} />
      <details class="more"><summary>${t("customers.limits")}</summary><${Fields} schema="ClaimRequest" only=${["limits"]} body=${rest} onChange=${setRest} problem=${problem} /></details>
    </div>`}
  <//>`;
}

/** The proxies to choose from. @param {{value: string, set: (value: string) => void}} props */
function From({ value, set }) {
  const options = (/** @type {"stacks" | "locations"} */ kind, /** @type {string} */ member) =>
    html`<optgroup label=${t(`nav./${kind}`)}>${[...named(kind).values()].map((one) => html`<option value=${`${member} ${one.id}`} key=${one.id}>${one.name}</option>`)}</optgroup>`;
  return html`<select id="from" value=${value} onChange=${(/** @type {any} */ event) => set(event.target.value)}>
    <option value="">${t("customers.anywhere")}</option>${options("stacks", "stack_id")}${options("locations", "location_id")}</select>`;
}
