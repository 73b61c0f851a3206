// The entry: words and screen first, then the shell, then the stream.
import { number } from "./format.js";
import { Shell } from "./parts/shell/shell.js";
import { followTheme } from "./prefs.js";
import { route } from "./router.js";
import { screenOf } from "./screens.js";
import { startStream } from "./stream.js";
import { html, render } from "./view.js";
import { followLanguage, loadWords } from "./words.js";

followTheme();
// The screen's code or its first rows are fetched while the words are.
screenOf(route.peek().screen).begin?.(route.peek().query);
number(0); // the browser loads the formats of numbers meanwhile, too
await loadWords();
followLanguage();
startStream();
render(html`<${Shell} />`, document.body);
