// What a client of a proxy needs: its URLs in the forms that programs take, and as a QR code.
import { throughProxy } from "../../curl.js";
import { useRead } from "../../store.js";
import { html, useEffect, useState } from "../../view.js";
import { t } from "../../words.js";
import { CopyButton } from "../elements/copy.js";
import { Dialog } from "../elements/dialog.js";
import { endpoint } from "./columns.js";

/** @typedef {import("../../resources.d.ts").Proxy} Proxy */

const TARGET = "https://example.com/";
const MASK = "••••••";

/** @param {{proxy: Proxy}} props */
export function UsePanel({ proxy }) {
  const [isShown, setShown] = useState(false);
  const [qr, setQr] = useState("");
  const login = proxy.username ? [proxy.username, proxy.password] : [];
  const urls = proxy.urls ?? [];
  const node = useRead(proxy.tls ? `/nodes/${proxy.node_id}` : null, {}, { on: ["nodes"], ids: [proxy.node_id] });
  const certificate = node.data?.tls_certificate;
  const trusted = certificate?.self_made ? `node-${proxy.node_id}.pem` : null;
  const forms = [
    ...urls.map((url) => ({ key: new URL(url).protocol.slice(0, -1), text: url })),
    { key: "parts", text: [endpoint(proxy), ...login].join(":") },
    { key: "curl", text: throughProxy(urls[0] ?? "", TARGET, trusted) },
    ...(trusted ? [{ key: "certificate", text: certificate.pem }] : []),
  ];
  const masked = (/** @type {string} */ text) =>
    isShown || !proxy.password
      ? text
      : text.replaceAll(encodeURIComponent(proxy.password), MASK).replaceAll(proxy.password, MASK);
  return html`<section class="panel">
    <div class="panel-head"><h2>${t("use")}</h2>
      ${proxy.password && html`<button type="button" class="quiet" aria-pressed=${isShown} onClick=${() => setShown(!isShown)}>${t(isShown ? "hide_password" : "show_password")}</button>`}</div>
    <dl class="uses">${forms.map(
      ({ key, text }) => html`<dt key=${key}>${t(`use.${key}`)}</dt><dd class="copyable">
        <code tabindex="0">${masked(text)}</code>
        <${CopyButton} text=${text} label=${t("copy_form", { form: t(`use.${key}`) })} />
        ${key in { http: 1, https: 1, socks5: 1 } && html`<button type="button" class="quiet" onClick=${() => setQr(text)}>QR</button>`}</dd>`,
    )}</dl>
    ${qr && html`<${Qr} text=${qr} onClose=${() => setQr("")} />`}
  </section>`;
}

/** @param {{text: string, onClose: () => void}} props */
function Qr({ text, onClose }) {
  const [path, setPath] = useState("");
  const [size, setSize] = useState(0);
  useEffect(() => {
    void import("../../vendor/uqr.js").then(({ encode }) => {
      const { data, size: found } = encode(text, { border: 2 });
      setSize(found);
      setPath(data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ""))).join(""));
    });
  }, [text]);
  return html`<${Dialog} title=${t("qr")} onClose=${onClose}>
    <svg class="qr" viewBox=${`0 0 ${size} ${size}`} role="img" aria-label=${t("qr")}><rect width=${size} height=${size} /><path d=${path} /></svg>
  <//>`;
}
