"""What `./dev up` shows when everything runs: where to look and what to try."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster import Cluster

JSON = "-H 'Content-Type: application/json'"


def screen(cluster: Cluster, proxies: Sequence[Mapping[str, Any]], keep: Path | None) -> str:
    api, vhost = f"http://127.0.0.1:{cluster.api_port}", cluster.vhost
    location_id = proxies[0]["location_id"]
    return f"""
The cluster is up.

  API documentation   {api}/api
  RabbitMQ messages   {vhost.management_url}  (user {vhost.user}, password {vhost.password})
  Logs and data       {cluster.folder.path}

Proxies made through the API:

{proxy_lines(proxies)}

Try, in another terminal:

  # make one more
  curl -s -X POST {api}/proxies {JSON} -H 'Prefer: wait=10' \\
       -d '{{"location_id": {location_id}, "protocol": "http"}}'

  # use one
  curl -x '{proxies[0]["urls"][0]}' {api}/health/live

  # look at what there is
  curl -s {api}/proxies
  curl -s {api}/nodes

  # watch what happens
  curl -s '{api}/events'
  ./dev status

  # take one away: its connections are closed at once
  curl -s -X DELETE {api}/proxies/{proxies[0]["id"]}

A program that ends is started again. {ending(keep)}"""


def proxy_lines(proxies: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"  {proxy['id']:>3}  {proxy['protocol']:6} on node {proxy['node_id']}  {url}"
        for proxy in proxies
        for url in proxy["urls"]
    )


def ending(keep: Path | None) -> str:
    if keep:
        return f"Ctrl-C stops everything; the data stays in {keep} for the next start."
    return "Ctrl-C stops everything and removes it."
