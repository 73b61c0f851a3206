// The login, in place of every screen while the API refuses the page's calls: a token is tried before it is kept.
import { run } from "../api.js";
import { ProblemNotice } from "../parts/elements/notice.js";
import { problemOf } from "../store.js";
import { bearer, keepToken, token } from "../token.js";
import { html, useState } from "../view.js";
import { t } from "../words.js";

export default function Login() {
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
  return html`<div class="screen login"><h1>${t("login")}</h1>
    <form class="form panel" onSubmit=${log}>
      <p>${t(token.peek() === "" ? "login.text" : "login.again")}</p>
      <${ProblemNotice} problem=${problem} />
      <div class="field"><label for="token">${t("login.token")}</label>
        <input id="token" type="password" autocomplete="current-password" spellcheck=${false} required value=${text}
          onInput=${(/** @type {any} */ event) => setText(event.target.value)} /></div>
      <p><button type="submit" class="primary" disabled=${text.trim() === ""}>${t("login")}</button></p>
    </form></div>`;
}
