// The entry: words first, then the shell, then the stream.
import { Shell } from "./parts/shell/shell.js";
import { followTheme } from "./prefs.js";
import { startStream } from "./stream.js";
import { html, render } from "./view.js";
import { followLanguage, loadWords } from "./words.js";

followTheme();
await loadWords("core");
followLanguage();
startStream();
render(html`<${Shell} />`, document.body);
