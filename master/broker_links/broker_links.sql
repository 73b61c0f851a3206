-- All links, also those that are history: a node may report any of them.
-- name: select_all
SELECT rev, amqp_urls, management_urls, node_amqp_urls, ca, queues, state, state_at, left_over FROM broker_links ORDER BY rev;
