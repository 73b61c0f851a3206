// Which address shows which screen. A screen is a file in screens/, with its words in words/<language>/.

/** @type {[pattern: string, screen: string][]} */
export const ROUTES = [
  ["/", "overview"],
  ["/nodes", "nodes"],
  ["/nodes/enrol", "enrol"],
  ["/nodes/invitations", "invitations"],
  ["/nodes/:id", "node"],
  ["/proxies", "proxies"],
  ["/proxies/create", "create"],
  ["/proxies/:id", "proxy"],
  ["/stacks", "stacks"],
  ["/stacks/:id", "stack"],
  ["/upgrades", "upgrades"],
  ["/upgrades/:id", "upgrade"],
  ["/customers", "customers"],
  ["/locations", "locations"],
  ["/events", "events"],
  ["/usage", "usage"],
  ["/lookup", "lookup"],
  ["/links", "links"],
  ["/webhooks", "webhooks"],
  ["/settings", "settings"],
];

/**
 * The navigation: groups of screens. `whole`: not for a token that is for a part of the fleet.
 * @type {{words: string, items: {path: string, icon: string, key?: string, whole?: boolean}[]}[]}
 */
export const NAVIGATION = [
  {
    words: "fleet",
    items: [
      { path: "/", icon: "overview", key: "o" },
      { path: "/nodes", icon: "nodes", key: "n" },
      { path: "/proxies", icon: "proxies", key: "p" },
      { path: "/stacks", icon: "stacks", key: "s" },
      { path: "/locations", icon: "locations", key: "l" },
      { path: "/customers", icon: "customers", key: "c" },
      { path: "/upgrades", icon: "upgrades", whole: true },
    ],
  },
  {
    words: "insight",
    items: [
      { path: "/events", icon: "events", key: "e" },
      { path: "/usage", icon: "usage", key: "u" },
      { path: "/lookup", icon: "lookup", key: "w" },
    ],
  },
  {
    words: "system",
    items: [
      { path: "/links", icon: "links" },
      { path: "/webhooks", icon: "webhooks", whole: true },
      { path: "/settings", icon: "settings", key: "t" },
    ],
  },
];
