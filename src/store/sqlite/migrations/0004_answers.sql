-- The answers of a prompt are found by it: the last one, and whether there is any.
CREATE INDEX message_parent ON message (parent_id) WHERE parent_id IS NOT NULL;
