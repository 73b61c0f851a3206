-- Where proxies may connect to, and the address at which the world reaches a node.

-- A node guards the address that only its master knows: another one is news for it. A 3proxy reads its rules when it
-- starts, so its record goes out again.
CREATE OR REPLACE FUNCTION nodes_before_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.state = 'disabled') <> (OLD.state = 'disabled') THEN
        NEW.revision := GREATEST(NEW.revision, OLD.revision + 1);
        NEW.state_revision := NEW.revision;
    END IF;
    IF NEW.ip <> OLD.ip THEN
        NEW.revision := GREATEST(NEW.revision, OLD.revision + 1);
    END IF;
    IF NEW.revision > OLD.revision THEN
        PERFORM pg_notify('maybe_changed', NEW.id::text);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION nodes_ip_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE proxies SET version = version + 1
    WHERE engine = '3proxy'
      AND (node_id = NEW.id OR id IN (SELECT proxy_id FROM endpoints WHERE node_id = NEW.id));
    RETURN NULL;
END $$;
CREATE TRIGGER nodes_ip_changed AFTER UPDATE OF ip ON nodes
FOR EACH ROW WHEN (NEW.ip <> OLD.ip) EXECUTE FUNCTION nodes_ip_changed();
