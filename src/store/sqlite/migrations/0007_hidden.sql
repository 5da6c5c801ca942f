-- Sessions that are in no list, and whose events are sent only to those who name them.
ALTER TABLE session ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
