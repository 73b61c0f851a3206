// Все русские тексты.
import core from "./ru/core.js";
import create from "./ru/create.js";
import customers from "./ru/customers.js";
import enrol from "./ru/enrol.js";
import events from "./ru/events.js";
import fields from "./ru/fields.js";
import fleet from "./ru/fleet.js";
import insight from "./ru/insight.js";
import invitations from "./ru/invitations.js";
import links from "./ru/links.js";
import locations from "./ru/locations.js";
import lookup from "./ru/lookup.js";
import node from "./ru/node.js";
import nodes from "./ru/nodes.js";
import overview from "./ru/overview.js";
import proxies from "./ru/proxies.js";
import proxy from "./ru/proxy.js";
import settings from "./ru/settings.js";
import stack from "./ru/stack.js";
import stacks from "./ru/stacks.js";
import upgrade from "./ru/upgrade.js";
import upgrades from "./ru/upgrades.js";
import usage from "./ru/usage.js";
import webhooks from "./ru/webhooks.js";

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
