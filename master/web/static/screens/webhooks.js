// Webhooks: where events are posted, whether they arrive, and what is done about it.
import { prepared, run } from "../api.js";
import { announce } from "../changes.js";
import { ago, number, time } from "../format.js";
import { nameOf } from "../names.js";
import { Texts } from "../parts/customers/link_dialog.js";
import { CopyCurl } from "../parts/elements/copy.js";
import { Menu } from "../parts/elements/menu.js";
import { Empty, problemText, Stale, Waiting } from "../parts/elements/notice.js";
import { Badge } from "../parts/elements/states.js";
import { toast } from "../parts/elements/toast.js";
import { Write } from "../parts/forms/write.js";
import { Page } from "../parts/shell/screen.js";
import { link } from "../router.js";
import { problemOf, useRead } from "../store.js";
import { html, useState } from "../view.js";
import { t } from "../words.js";

/** What the dialogues of a webhook do. @typedef {"edit" | "replay" | "remove"} Action */

const SUBJECTS = ["node", "stack", "location"];

export default function Webhooks() {
  const read = useRead("/webhooks", { limit: 1000 }, { on: ["webhooks", "events"], every: 15, pause: 3000 });
  const [isCreating, setCreating] = useState(false);
  const [secret, setSecret] = useState("");
  const [chosen, setChosen] = useState(/** @type {{webhook: any, action: Action} | null} */ (null));
  const create = html`<button type="button" class="primary" onClick=${() => setCreating(true)}>${t("webhooks.create")}</button>`;
  const choose = (/** @type {any} */ webhook, /** @type {Action} */ action) => setChosen({ webhook, action });
  return html`<${Page} title=${t("nav./webhooks")} actions=${create}>
    <${Stale} read=${read} />
    ${
      !read.data
        ? html`<${Waiting} read=${read} />`
        : read.data.items.length === 0
          ? html`<${Empty} title=${t("webhooks.none")}><p>${t("webhooks.none_text")}</p>${create}<//>`
          : html`<div class="panels">${read.data.items.map((/** @type {any} */ one) => html`<${Webhook} key=${one.id} webhook=${one} choose=${choose} />`)}</div>`
    }
    ${
      isCreating &&
      html`<${Write} title=${t("webhooks.create")} call=${{ method: "POST", path: "/webhooks", body: {} }} schema="NewWebhook" kind="webhooks"
        fields=${["url", "types", ...SUBJECTS, "after", "enabled"]} action=${t("create")} done=${t("webhooks.created")}
        onDone=${(/** @type {any} */ made) => setSecret(made.secret)} onClose=${() => setCreating(false)} />`
    }
    ${secret && html`<${Texts} title=${t("webhooks.secret")} hint=${t("webhooks.secret_text")} texts=${[secret]} onClose=${() => setSecret("")} />`}
    ${chosen && html`<${Change} ...${chosen} onClose=${() => setChosen(null)} />`}
  <//>`;
}

/** @param {{webhook: any, choose: (webhook: any, action: Action) => void}} props */
function Webhook({ webhook, choose }) {
  const { id, url, types, state, lag, failures, last_error, last_delivered_at, next_at, position } = webhook;
  const enable = { method: "PATCH", path: `/webhooks/${id}`, body: { enabled: !webhook.enabled } };
  return html`<section class="panel half">
    <div class="panel-head"><h2 class="address">${url}</h2>
      <button type="button" onClick=${() => send({ method: "POST", path: `/webhooks/${id}/test` }, tested)}>${t("webhooks.test")}</button>
      <${Menu} label=${t("webhooks.more", { id })} icon="more">
        <button type="button" onClick=${() => choose(webhook, "edit")}>${t("edit")}</button>
        <button type="button" onClick=${() => choose(webhook, "replay")}>${t("webhooks.replay")}</button>
        <button type="button" onClick=${() => send(enable, () => ({ text: t("saved") }))}>${t(webhook.enabled ? "disable" : "enable")}</button>
        <${CopyCurl} call=${enable} />
        <button type="button" class="bad" onClick=${() => choose(webhook, "remove")}>${t("delete")}</button>
      <//></div>
    <dl class="facts">
      <dt>${t("column.state")}</dt><dd><${Badge} state=${state} /></dd>
      ${last_error && html`<dt>${t("webhooks.error")}</dt><dd class="bad-text">${last_error} <small>${t("webhooks.failures", { n: failures })}${next_at && ` · ${t("webhooks.next", { when: ago(next_at) })}`}</small></dd>`}
      <dt>${t("webhooks.lag")}</dt><dd class=${lag > 0 ? "warn-text" : ""}>${t("webhooks.lag_events", { n: lag, shown: number(lag) })} <small>${t("webhooks.position", { id: number(position) })}</small></dd>
      <dt>${t("webhooks.delivered")}</dt><dd title=${time(last_delivered_at)}>${last_delivered_at ? ago(last_delivered_at) : t("webhooks.never")}</dd>
      <dt>${t("webhooks.types")}</dt><dd>${types.length ? types.map((/** @type {string} */ one) => html`<code key=${one}>${one}</code> `) : t("webhooks.all_types")}</dd>
      ${subjectOf(webhook) && html`<dt>${t("webhooks.subject")}</dt><dd>${subjectOf(webhook)}</dd>`}
    </dl>
  </section>`;
}

/** Which resource alone it is about. @param {any} webhook */
function subjectOf({ node_id, stack_id, location_id, proxy_id }) {
  if (node_id) return html`<a href=${link(`/nodes/${node_id}`)}>${nameOf("nodes", node_id)}</a>`;
  if (proxy_id) return html`<a href=${link(`/proxies/${proxy_id}`)}>${t("kind.proxy")} ${String(proxy_id)}</a>`;
  if (stack_id) return html`<a href=${link(`/stacks/${stack_id}`)}>${nameOf("stacks", stack_id)}</a>`;
  return location_id && nameOf("locations", location_id);
}

/**
 * Makes a call, and shows how it ended.
 * @param {import("../curl.js").Call} call
 * @param {(data: any) => {text: string, kind?: "good" | "bad"}} outcome
 */
async function send(call, outcome) {
  const whole = prepared(call);
  await run(whole).then(
    ({ data }) => {
      const { text, kind } = outcome(data);
      toast(text, { kind, call: whole });
    },
    (error) => toast(problemText(problemOf(error)), { kind: "bad" }),
  );
  announce("webhooks");
}

/** What the receiver answered to a sample event. @param {any} data @returns {{text: string, kind?: "good" | "bad"}} */
const tested = (data) =>
  data.ok
    ? { text: t("webhooks.tested", { status: data.status, latency: data.latency_ms }) }
    : { text: t("webhooks.test_failed", { reason: data.reason ?? data.status }), kind: "bad" };

/** @param {{webhook: any, action: Action, onClose: () => void}} props */
function Change({ webhook, action, onClose }) {
  const path = `/webhooks/${webhook.id}`;
  const common = { kind: "webhooks", onClose };
  if (action === "remove") {
    return html`<${Write} ...${common} title=${t("webhooks.remove")} call=${{ method: "DELETE", path }} text=${t("webhooks.remove_text", { url: webhook.url })}
      action=${t("delete")} done=${t("webhooks.removed")} danger />`;
  }
  const fields = action === "replay" ? ["after"] : ["url", "types", ...SUBJECTS, "enabled"];
  return html`<${Write} ...${common} title=${t(`webhooks.${action}`)} call=${{ method: "PATCH", path, body: {} }} schema="WebhookPatch" fields=${fields}
    current=${action === "edit" ? webhook : undefined} text=${action === "replay" && t("webhooks.replay_text", { id: number(webhook.position) })}
    action=${t(action === "replay" ? "webhooks.replay" : "save")} done=${t("saved")} />`;
}
