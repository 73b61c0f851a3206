-- The part of the fleet that a token with a filter is for: schemas with a view of the same name for every table and
-- view. A session whose search_path begins with such a schema, and whose setting `maybe.narrowed` is the value of the
-- filter, reads and writes nothing else by a plain name (master/db/narrowing.py); without the setting every statement
-- fails. Statements that must see everything, such as those that find a free port, name the schema public, and so do
-- functions.
--
-- narrowed_label: proxies with a label, and stacks that have it themselves and give it to their proxies.
-- narrowed_stack: one stack and its proxies.
-- narrowed_location: the proxies on the nodes of one location, and stacks that are placed there alone.
--
-- With its proxies a token sees the nodes that have or had them, and the locations of these nodes: their names, state
-- and address, and counts of its own proxies. Removed proxies belong to the filter that they belonged to in the end.
-- Views that are written are simple enough for PostgreSQL to write through them, and check that nothing leaves the
-- filter. A table that is not mentioned here is empty.

DO $$
DECLARE
    kind text;
    value text;
    inside text;
    resource_inside text;
    stack_inside text;
    removed text;
    event_inside text;
    usage_inside text;
    history_inside text;
    of_location text;
    name text;
    is_table boolean;
    own_events text;
    see_node constant text := 'EXISTS (SELECT FROM visible_nodes v WHERE v.id = r.%I)';
    see_stack constant text := 'CASE WHEN EXISTS (SELECT FROM stacks v WHERE v.id = r.stack_id) THEN r.stack_id END';
    see_actor constant text :=
        'CASE WHEN r.actor LIKE ''token %'' AND r.actor <> current_setting(''maybe.actor'') THEN ''token'''
        ' WHEN r.actor LIKE ''link %'' AND NOT EXISTS (SELECT FROM links l WHERE r.actor = ''link '' || l.id)'
        ' THEN ''link'''
        ' ELSE discreet(r.actor) END';
    see_location constant text :=
        'CASE WHEN EXISTS (SELECT FROM locations v WHERE v.id = r.location_id) THEN r.location_id END';
BEGIN
    -- The columns of a relation `r`: those of `given` as expressions, those of `kept` as they are (NULL: all others),
    -- and NULL for the rest.
    CREATE FUNCTION pg_temp.columns_of(relation regclass, given jsonb, kept text[] DEFAULT NULL) RETURNS text
    LANGUAGE sql AS $function$
        SELECT string_agg(
            CASE
                WHEN given ? a.attname THEN format('(%s)::%s AS %I', given ->> a.attname, type, a.attname)
                WHEN kept IS NULL OR a.attname = ANY (kept) THEN format('r.%I', a.attname)
                ELSE format('NULL::%s AS %I', type, a.attname)
            END, ', ' ORDER BY a.attnum
        )
        FROM pg_attribute a
        CROSS JOIN LATERAL format_type(a.atttypid, a.atttypmod) AS type
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
    $function$;

    FOREACH kind IN ARRAY ARRAY['label', 'stack', 'location'] LOOP
        EXECUTE format('CREATE SCHEMA narrowed_%s', kind);
        PERFORM set_config('search_path', format('narrowed_%s, public', kind), true);
        value := CASE kind
            WHEN 'label' THEN '(SELECT current_setting(''maybe.narrowed'')::jsonb)'
            ELSE '(SELECT current_setting(''maybe.narrowed'')::bigint)'
        END;
        of_location := format('(SELECT n.id FROM public.nodes n WHERE n.location_id = %s)', value);
        CASE kind
            WHEN 'label' THEN
                inside := format('r.labels @> %s', value);
                resource_inside := inside;
                stack_inside := format('r.labels @> %1$s AND r.proxy -> ''labels'' @> %1$s', value);
                removed := inside;
                event_inside := 'r.proxy_id IN (SELECT k.id FROM known_proxies k)';
                usage_inside := event_inside;
                history_inside := event_inside;
            WHEN 'stack' THEN
                inside := format('r.stack_id = %s', value);
                resource_inside := inside;
                stack_inside := format('r.id = %s', value);
                removed := inside || ' AND r.labels IS NOT NULL';
                event_inside := inside || ' AND (r.proxy_id IS NOT NULL OR r.type LIKE ''stack.%'')';
                usage_inside := inside;
                history_inside := 'r.proxy_id IN (SELECT k.id FROM known_proxies k)';
            WHEN 'location' THEN
                inside := format('r.node_id IN %s', of_location);
                resource_inside := format('r.location_id = %s', value);
                stack_inside := format(
                    'r.proxy -> ''location_ids'' = jsonb_build_array(%s) AND NOT EXISTS ('
                    'SELECT FROM jsonb_array_elements_text(COALESCE(r.proxy -> ''node_ids'', ''[]'')) AS named (id) '
                    'WHERE named.id::bigint NOT IN %s)', value, of_location
                );
                removed := inside || ' AND r.labels IS NOT NULL';
                usage_inside := format(
                    'r.location_id = %s AND r.proxy_id IN (SELECT k.id FROM known_proxies k)', value
                );
                event_inside := usage_inside;
                history_inside := inside || ' AND r.proxy_id IN (SELECT k.id FROM known_proxies k)';
        END CASE;

        -- Proxies and stacks

        EXECUTE format('CREATE VIEW proxies AS SELECT * FROM public.proxies r WHERE %s WITH CHECK OPTION', inside);
        EXECUTE format('CREATE VIEW removed_proxies AS SELECT * FROM public.former_proxies r WHERE %s', removed);
        CREATE VIEW known_proxies AS SELECT id FROM proxies UNION ALL SELECT proxy_id FROM removed_proxies;
        EXECUTE format(
            'CREATE VIEW stacks AS SELECT %s FROM public.stacks r WHERE %s WITH CHECK OPTION',
            pg_temp.columns_of('public.stacks', jsonb_build_object(
                'count', 'SELECT count(*) FROM proxies p WHERE p.stack_id = r.id'
            )), stack_inside
        );
        FOREACH name IN ARRAY ARRAY[
            'proxy_failures', 'proxy_live', 'proxy_checks', 'endpoints', 'schedules', 'usage_totals'
        ] LOOP
            EXECUTE format(
                'CREATE VIEW %1$I AS SELECT * FROM public.%1$I r WHERE r.proxy_id IN (SELECT p.id FROM proxies p)'
                ' WITH CHECK OPTION', name
            );
        END LOOP;
        CREATE VIEW schedule_resources AS
        SELECT * FROM public.schedule_resources r WHERE r.proxy_id IN (SELECT p.id FROM proxies p);
        EXECUTE format(
            'CREATE VIEW proxy_resources AS SELECT %s FROM public.proxy_resources r WHERE %s',
            pg_temp.columns_of('public.proxy_resources', CASE kind
                WHEN 'stack' THEN '{}' ELSE jsonb_build_object('stack_id', see_stack)
            END), resource_inside
        );

        -- Nodes and locations

        IF kind = 'location' THEN
            EXECUTE format('CREATE VIEW visible_nodes AS SELECT id FROM public.nodes WHERE location_id = %s', value);
            EXECUTE format('CREATE VIEW visible_locations AS SELECT %s AS id', value);
        ELSE
            CREATE VIEW visible_nodes AS
            SELECT node_id AS id FROM proxies
            UNION ALL
            SELECT e.node_id FROM endpoints e
            UNION ALL
            SELECT f.node_id FROM public.former_proxies f WHERE f.proxy_id IN (SELECT p.id FROM proxies p)
            UNION ALL
            SELECT node_id FROM removed_proxies
            UNION ALL
            SELECT jsonb_array_elements_text(s.proxy -> 'node_ids')::bigint FROM stacks s;
            CREATE VIEW visible_locations AS
            SELECT location_id AS id FROM public.nodes WHERE id IN (SELECT id FROM visible_nodes)
            UNION ALL
            SELECT jsonb_array_elements_text(s.proxy -> 'location_ids')::bigint FROM stacks s;
        END IF;
        EXECUTE format(
            'CREATE VIEW nodes AS SELECT %s FROM public.nodes r'
            ' WHERE r.id = ANY (ARRAY(SELECT v.id FROM visible_nodes v))',
            pg_temp.columns_of('public.nodes', '{"labels": "''{}''"}', ARRAY[
                'id', 'name', 'ip', 'location_id', 'state', 'created_at', 'updated_at'
            ])
        );
        EXECUTE format(
            'CREATE VIEW node_status AS SELECT %s FROM public.node_status r'
            ' WHERE r.node_id = ANY (ARRAY(SELECT v.id FROM visible_nodes v))',
            pg_temp.columns_of('public.node_status', '{}', ARRAY['node_id', 'online', 'reported_at', 'session'])
        );
        EXECUTE format(
            'CREATE VIEW node_resources AS SELECT %s FROM public.node_resources r LEFT JOIN ('
            '    SELECT node_id, count(*) AS count, count(*) FILTER (WHERE state = ''running'') AS running,'
            '        count(*) FILTER (WHERE state = ''failed'') AS failed,'
            '        count(*) FILTER (WHERE state IN (''limited'', ''expired'')) AS limited'
            '    FROM proxy_resources GROUP BY node_id'
            ') AS own ON own.node_id = r.id WHERE r.id = ANY (ARRAY(SELECT v.id FROM visible_nodes v))',
            pg_temp.columns_of('public.node_resources', jsonb_build_object(
                'labels', '''{}''', 'max_proxies', '0', 'port_from', '0', 'port_to', '0', 'engines', '''{}''',
                'host', '''''', 'os', '''''', 'addresses', '''{}''', 'agent', '''''', 'revision', '0', 'rev', '0',
                'confirmed_rev', '0', 'count', 'COALESCE(own.count, 0)', 'running', 'COALESCE(own.running, 0)',
                'failed', 'COALESCE(own.failed, 0)', 'limited', 'COALESCE(own.limited, 0)'
            ) || jsonb_build_object('missing', '0', 'exit_addresses', '''{}''', 'ipv6_prefixes', '''{}'''), ARRAY[
                'id', 'name', 'ip', 'location_id', 'state', 'created_at', 'updated_at', 'link', 'online',
                'reported_at', 'sort_name'
            ])
        );
        EXECUTE format(
            'CREATE VIEW locations AS SELECT %s FROM public.locations r'
            ' WHERE r.id = ANY (ARRAY(SELECT v.id FROM visible_locations v))',
            pg_temp.columns_of('public.locations', '{"labels": "''{}''"}')
        );

        -- Links

        EXECUTE format(
            'CREATE VIEW links AS SELECT * FROM public.links r WHERE r.token_filter = jsonb_build_object(%L, %s)'
            ' WITH CHECK OPTION', kind, CASE kind
                WHEN 'label' THEN format(
                    '(SELECT label.key || '':'' || label.value FROM jsonb_each_text(%s) AS label)', value
                ) ELSE value
            END
        );

        -- Texts and details name no node and no proxy that cannot be seen.
        CREATE FUNCTION discreet(said text) RETURNS text LANGUAGE sql STABLE AS $function$
            SELECT CASE
                WHEN said !~ '\m(node|proxy) [0-9]' THEN said
                WHEN EXISTS (
                    SELECT FROM regexp_matches(said, '\m(node|proxy) ([0-9]{1,18})\M', 'g') AS found (words)
                    WHERE NOT CASE words[1]
                        WHEN 'node' THEN EXISTS (SELECT FROM visible_nodes v WHERE v.id = words[2]::bigint)
                        ELSE EXISTS (SELECT FROM known_proxies k WHERE k.id = words[2]::bigint)
                    END
                ) THEN regexp_replace(said, '\m(node|proxy) [0-9]+.*', 'another \1')
                ELSE said
            END
        $function$;
        CREATE FUNCTION discreet_details(details jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $function$
            SELECT CASE
                WHEN NOT details ?| ARRAY['from_node_id', 'to_node_id', 'reason'] THEN details
                ELSE details - ARRAY(
                    SELECT member.key FROM jsonb_each_text(details) AS member
                    WHERE member.key IN ('from_node_id', 'to_node_id')
                      AND NOT EXISTS (SELECT FROM visible_nodes v WHERE v.id = member.value::bigint)
                ) || CASE jsonb_typeof(details -> 'reason')
                    WHEN 'string' THEN jsonb_build_object('reason', discreet(details ->> 'reason')) ELSE '{}'
                END
            END
        $function$;

        -- History: of present proxies, and of those that were removed

        EXECUTE format(
            'CREATE VIEW rotations AS SELECT %s FROM public.rotations r'
            ' WHERE r.proxy_id IN (SELECT k.id FROM known_proxies k) WITH CHECK OPTION',
            pg_temp.columns_of('public.rotations', jsonb_build_object(
                'from_node_id', format('CASE WHEN ' || see_node || ' THEN r.from_node_id END', 'from_node_id'),
                'to_node_id', format('CASE WHEN ' || see_node || ' THEN r.to_node_id END', 'to_node_id'),
                'reason', 'discreet(r.reason)'
            ))
        );
        own_events := format('SELECT %s, r.xmin FROM public.events r WHERE ', pg_temp.columns_of(
            'public.events', jsonb_build_object(
                'node_id', format('CASE WHEN ' || see_node || ' THEN r.node_id END', 'node_id'),
                'stack_id', CASE kind WHEN 'stack' THEN 'r.stack_id' ELSE see_stack END,
                'location_id', see_location, 'details', 'discreet_details(r.details)',
                'actor', see_actor
            )
        ));
        EXECUTE format('CREATE VIEW events AS %s %s', own_events, event_inside) || CASE
            WHEN kind <> 'stack' THEN format(
                ' UNION ALL %s r.proxy_id IS NULL AND r.type LIKE ''stack.%%'''
                ' AND r.stack_id IN (SELECT s.id FROM stacks s)', own_events
            ) ELSE ''
        END;
        -- As public.find_events, which would walk the whole log: along the events of each proxy, stack or location. Only
        -- a short part of the log is walked, such as a reader has who follows it.
        EXECUTE format($create$
            CREATE FUNCTION find_events(
                along text, newest_first boolean, low bigint, high bigint, most bigint, types text[], of_request text,
                of_proxy bigint, of_stack bigint, of_node bigint, of_location bigint, of_actor text
            ) RETURNS SETOF bigint LANGUAGE plpgsql STABLE ROWS 50 AS $function$
            DECLARE
                direction text := CASE WHEN newest_first THEN 'DESC' ELSE 'ASC' END;
                conditions text := concat_ws(
                    ' AND ', 'true', CASE WHEN types <> '{}' THEN 'e.type = ANY ($4)' END,
                    CASE WHEN of_request IS NOT NULL THEN 'e.request_id = $5' END,
                    CASE WHEN of_proxy IS NOT NULL THEN 'e.proxy_id = $6' END,
                    CASE WHEN COALESCE(of_stack, of_node, of_location) IS NOT NULL OR of_actor IS NOT NULL THEN
                        'EXISTS (SELECT FROM events v WHERE v.id = e.id AND ' || concat_ws(
                            ' AND ', CASE WHEN of_stack IS NOT NULL THEN 'v.stack_id = $7' END,
                            CASE WHEN of_node IS NOT NULL THEN 'v.node_id = $8' END,
                            CASE WHEN of_location IS NOT NULL THEN 'v.location_id = $9' END,
                            CASE WHEN of_actor IS NOT NULL THEN 'v.actor = $10' END
                        ) || ')'
                    END
                );
                span text := 'e.%%1$s IS NOT NULL AND (e.%%1$s, e.id) > (%%2$s, $1) AND (e.%%1$s, e.id) < (%%2$s, $2)';
                piece text := '(SELECT e.id FROM public.events e WHERE %%1$s AND %%2$s AND %%3$s'
                    ' ORDER BY e.%%4$s %%5$s, e.id %%5$s LIMIT $3)';
                of_stacks text := 'SELECT one.id FROM stacks s CROSS JOIN LATERAL ' || format(
                    piece, format(span, 'stack_id', 's.id'), 'e.type LIKE ''stack.%%%%''', conditions, 'stack_id',
                    direction
                ) || ' AS one';
                found text := %s;
            BEGIN
                IF LEAST(high, (SELECT max(id) + 1 FROM public.events)) - low < 2000 THEN
                    found := format('SELECT e.id FROM events e WHERE e.id > $1 AND e.id < $2 AND %%s', conditions);
                END IF;
                RETURN QUERY EXECUTE format('SELECT id FROM (%%s) AS found ORDER BY id %%s LIMIT $3', found, direction)
                USING low, high, most, types, of_request, of_proxy, of_stack, of_node, of_location, of_actor;
            END $function$
        $create$, CASE kind
            WHEN 'label' THEN $found$
                'SELECT one.id FROM known_proxies k CROSS JOIN LATERAL ' || format(
                    piece, format(span, 'proxy_id', 'k.id'), 'true', conditions, 'proxy_id', direction
                ) || ' AS one WHERE $6 IS NULL OR k.id = $6 UNION ALL ' || of_stacks
            $found$
            WHEN 'stack' THEN format(
                'format(piece, format(span, ''stack_id'', %L), %L, conditions, ''stack_id'', direction)', value,
                '(e.proxy_id IS NOT NULL OR e.type LIKE ''stack.%'')'
            )
            WHEN 'location' THEN format(
                'format(piece, format(span, ''location_id'', %L), %L, conditions, ''location_id'', direction)'
                ' || '' UNION ALL '' || of_stacks', value,
                '(SELECT true FROM known_proxies k WHERE k.id = e.proxy_id LIMIT 1)'
            )
        END);
        EXECUTE format(
            'CREATE VIEW former_proxies AS SELECT %s FROM public.former_proxies r'
            ' WHERE r.proxy_id IN (SELECT k.id FROM known_proxies k)',
            pg_temp.columns_of('public.former_proxies', '{}')
        );
        FOREACH name IN ARRAY ARRAY['usage_hours', 'usage_days'] LOOP
            EXECUTE format(
                'CREATE VIEW %1$I AS SELECT %2$s FROM public.%1$I r WHERE %3$s', name,
                pg_temp.columns_of(format('public.%I', name)::regclass, jsonb_build_object(
                    'node_id', format('CASE WHEN ' || see_node || ' THEN r.node_id ELSE 0 END', 'node_id'),
                    'stack_id', see_stack, 'location_id', see_location
                )), usage_inside
            );
        END LOOP;
        EXECUTE format(
            'CREATE VIEW latest_labels AS SELECT %s FROM public.latest_labels r'
            ' WHERE r.proxy_id IN (SELECT k.id FROM known_proxies k)',
            pg_temp.columns_of('public.latest_labels', '{}')
        );
        EXECUTE format(
            'CREATE VIEW endpoint_history AS SELECT * FROM public.endpoint_history r WHERE %s', history_inside
        );
        CREATE VIEW exit_keys AS
        SELECT * FROM public.exit_keys r WHERE EXISTS (SELECT FROM visible_nodes v WHERE v.id = r.node_id);
        -- Their key holds the id of the token.
        CREATE VIEW idempotency_keys AS SELECT * FROM public.idempotency_keys;

        -- Everything else

        FOR name, is_table IN
            SELECT c.relname, c.relkind = 'r' FROM pg_class c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
              AND to_regclass(format('narrowed_%s.%I', kind, c.relname)) IS NULL
        LOOP
            EXECUTE format(
                'CREATE VIEW %1$I AS SELECT * FROM public.%1$I WHERE false' || CASE
                    WHEN is_table THEN ' WITH CHECK OPTION' ELSE ''
                END, name
            );
        END LOOP;
    END LOOP;
    DROP FUNCTION pg_temp.columns_of;
    PERFORM set_config('search_path', 'public', true);
END $$;
