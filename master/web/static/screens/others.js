// All other screens, fetched together when one of them is first shown.
import create from "./create.js";
import customers from "./customers.js";
import enrol from "./enrol.js";
import events from "./events.js";
import invitations from "./invitations.js";
import links from "./links.js";
import locations from "./locations.js";
import login from "./login.js";
import lookup from "./lookup.js";
import node from "./node.js";
import proxy from "./proxy.js";
import settings from "./settings.js";
import stack from "./stack.js";
import stacks from "./stacks.js";
import upgrade from "./upgrade.js";
import upgrades from "./upgrades.js";
import usage from "./usage.js";
import webhooks from "./webhooks.js";

export default {
  create,
  customers,
  enrol,
  events,
  invitations,
  links,
  locations,
  login,
  lookup,
  node,
  proxy,
  settings,
  stack,
  stacks,
  upgrade,
  upgrades,
  usage,
  webhooks,
};
