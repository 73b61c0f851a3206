// Proxies.
export default {
  "proxies.none": "No proxy yet",
  "proxies.none_text": "Create one, or as many as you need, at a location or on nodes of your choice.",
  "proxies.no_match": "No proxy matches",
  "proxies.no_match_text": "Drop a word of the filter: the number beside each tells how many it matches alone.",
};
