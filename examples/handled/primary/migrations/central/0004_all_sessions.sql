-- TRUNCATE fires no trigger of rows: the channel `sessions` then tells of all users at once, with nothing for an id.
CREATE FUNCTION config.tell_all_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('sessions', '');
  RETURN NULL;
END
$$;

CREATE TRIGGER tell_all_changed AFTER TRUNCATE ON config.users
  FOR EACH STATEMENT EXECUTE FUNCTION config.tell_all_changed();
CREATE TRIGGER tell_all_changed AFTER TRUNCATE ON config.sessions
  FOR EACH STATEMENT EXECUTE FUNCTION config.tell_all_changed();
