DROP TRIGGER keep_all ON outcomes;
DROP TRIGGER keep_all ON reasons;
DROP TRIGGER keep_all ON signals;
DROP TRIGGER append_only ON outcomes;
DROP TRIGGER append_only ON reasons;
DROP TRIGGER append_only ON signals;
DROP FUNCTION refuse_change();
