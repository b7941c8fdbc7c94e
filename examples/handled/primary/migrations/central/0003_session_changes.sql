-- Tells whoever has looked a session up that the answer may be another now: the channel `sessions`, with the user's id.
-- It is heard when the change is committed, and not before.
CREATE FUNCTION config.tell_session_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('sessions', CASE TG_TABLE_NAME WHEN 'users' THEN to_jsonb(OLD) ->> 'id'
                                                   ELSE to_jsonb(OLD) ->> 'user_id' END);
  RETURN NULL;
END
$$;

CREATE TRIGGER tell_session_change AFTER UPDATE OR DELETE ON config.users
  FOR EACH ROW EXECUTE FUNCTION config.tell_session_change();
CREATE TRIGGER tell_session_change AFTER UPDATE OR DELETE ON config.sessions
  FOR EACH ROW EXECUTE FUNCTION config.tell_session_change();

-- A new password ends the user's sessions.
CREATE FUNCTION config.end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM config.sessions WHERE user_id = NEW.id;
  RETURN NULL;
END
$$;

CREATE TRIGGER end_sessions AFTER UPDATE OF password_digest ON config.users
  FOR EACH ROW EXECUTE FUNCTION config.end_sessions();
