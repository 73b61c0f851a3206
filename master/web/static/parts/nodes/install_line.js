// The line that installs a node, to be pasted into a shell on its host; without bundles, what to do about it.
import { useRead } from "../../store.js";
import { html } from "../../view.js";
import { t } from "../../words.js";
import { CopyButton } from "../elements/copy.js";
import { ProblemNotice } from "../elements/notice.js";

/** Hosts that other hosts cannot reach under this name. */
const OWN = /^https?:\/\/(localhost|127\.[0-9.]+|\[::1\])(:|\/|$)/;

export function InstallLine() {
  const read = useRead("/install-command", {}, { every: 60 });
  const line = read.data;
  if (!line) return html`<${ProblemNotice} problem=${read.problem} />`;
  if (!line.command) return html`<div class="notice"><div><p>${t("enrol.no_bundles")}</p></div></div>`;
  return html`<div class="command-box"><pre class="command" tabindex="0">${line.command}</pre><${CopyButton} text=${line.command} label=${t("enrol.copy_line")} /></div>
    ${OWN.test(line.url) && html`<p class="muted">${t("enrol.own_url", { url: line.url })}</p>`}`;
}
