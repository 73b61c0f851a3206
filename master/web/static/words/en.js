// All English texts.
import core from "./en/core.js";
import create from "./en/create.js";
import customers from "./en/customers.js";
import enrol from "./en/enrol.js";
import events from "./en/events.js";
import fields from "./en/fields.js";
import fleet from "./en/fleet.js";
import insight from "./en/insight.js";
import invitations from "./en/invitations.js";
import links from "./en/links.js";
import locations from "./en/locations.js";
import lookup from "./en/lookup.js";
import node from "./en/node.js";
import nodes from "./en/nodes.js";
import overview from "./en/overview.js";
import proxies from "./en/proxies.js";
import proxy from "./en/proxy.js";
import settings from "./en/settings.js";
import stack from "./en/stack.js";
import stacks from "./en/stacks.js";
import upgrade from "./en/upgrade.js";
import upgrades from "./en/upgrades.js";
import usage from "./en/usage.js";
import webhooks from "./en/webhooks.js";

export default {
  ...core,
  ...create,
  ...customers,
  ...enrol,
  ...events,
  ...fields,
  ...fleet,
  ...insight,
  ...invitations,
  ...links,
  ...locations,
  ...lookup,
  ...node,
  ...nodes,
  ...overview,
  ...proxies,
  ...proxy,
  ...settings,
  ...stack,
  ...stacks,
  ...upgrade,
  ...upgrades,
  ...usage,
  ...webhooks,
};
