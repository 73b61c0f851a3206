"""Text that `./dev up` prints when everything runs: where to look and what to try."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.cluster.cluster import Cluster
from tests.launch.__main__ import UpOptions

JSON = "-H 'Content-Type: application/json'"


def screen(cluster: Cluster, proxies: Sequence[Mapping[str, Any]], options: UpOptions) -> str:
    api, vhost = f"http://127.0.0.1:{cluster.api_port}", cluster.vhost
    return f"""
The cluster is up.

  web page            {api}
  API documentation   {api}/api
  RabbitMQ messages   {vhost.management_url}  (user {vhost.user}, password {vhost.password})
  Logs and data       {cluster.folder.path}

{what_to_try(api, proxies) if proxies else no_proxies(api)}
A program that ends is started again. {ending(options)}"""


def what_to_try(api: str, proxies: Sequence[Mapping[str, Any]]) -> str:
    return f"""Proxies created through the API:

{proxy_lines(proxies)}

Try, in another terminal:

  # create one more
  curl -s -X POST {api}/proxies {JSON} -H 'Prefer: wait=10' \\
       -d '{{"node_ids": [{proxies[0]["node_id"]}], "protocol": "http"}}'

  # use one
  curl -x '{proxies[0]["urls"][0]}' {api}/health/live

  # list proxies and nodes
  curl -s {api}/proxies
  curl -s {api}/nodes

  # watch what happens
  curl -s '{api}/events'
  ./dev status

  # delete one: its connections are closed at once
  curl -s -X DELETE {api}/proxies/{proxies[0]["id"]}
"""


def no_proxies(api: str) -> str:
    return f"""No proxy could be tried out, for the reasons above. List nodes and proxies:

  curl -s {api}/nodes
  curl -s {api}/proxies
"""


def proxy_lines(proxies: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"  {proxy['id']:>3}  {proxy['protocol']:6} on node {proxy['node_id']}  {url}"
        for proxy in proxies
        for url in proxy["urls"]
    )


def ending(options: UpOptions) -> str:
    how = "./dev down" if options.detach else "Ctrl-C"
    if options.keep:
        return f"{how} stops everything; the data stays in {options.keep} for the next start."
    return f"{how} stops everything and removes it."
