// The screens that most visits begin with: part of the first load.
import nodes from "./nodes.js";
import overview from "./overview.js";
import proxies from "./proxies.js";

export default { nodes, overview, proxies };
