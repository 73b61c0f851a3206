// The login: a token is tried before it is kept.
import { run } from "../../api.js";
import { problemOf } from "../../store.js";
import { bearer, keepToken } from "../../token.js";
import { html, useState } from "../../view.js";
import { t } from "../../words.js";
import { ProblemNotice } from "../elements/notice.js";

export function Login() {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const log = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const given = text.trim();
    try {
      await run({ method: "GET", path: "/tokens/current", headers: bearer(given) });
      keepToken(given);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  return html`<div class="screen"><div class="screen-head"><h1>${t("login")}</h1></div>
    <form class="form" onSubmit=${log}>
      <p>${t("login.text")}</p>
      <${ProblemNotice} problem=${problem} />
      <div class="field"><label for="token">${t("login.token")}</label>
        <input id="token" type="password" autocomplete="current-password" spellcheck=${false} required value=${text}
          onInput=${(/** @type {any} */ event) => setText(event.target.value)} /></div>
      <p><button type="submit" class="primary" disabled=${text.trim() === ""}>${t("login")}</button></p>
    </form></div>`;
}
