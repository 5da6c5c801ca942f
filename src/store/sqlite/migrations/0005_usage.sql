-- What model calls have cost, and how many prompts were sent. The rows stay when their session is deleted.
CREATE TABLE usage (
    time INTEGER NOT NULL,
    project_id TEXT NOT NULL,
    -- `provider/model`
    model TEXT NOT NULL,
    prompts INTEGER NOT NULL,
    cost REAL NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL
) STRICT;

-- Prompts that were sent, and their answers. Messages of copies have no `params`: what they cost was not spent again.
INSERT INTO usage
SELECT json_extract(message.data, '$.time.created'), session.project_id,
    json_extract(message.data, '$.model.providerID') || '/' || json_extract(message.data, '$.model.modelID'), 1, 0, 0, 0, 0, 0, 0
FROM message JOIN session ON session.id = message.session_id
WHERE message.params IS NOT NULL AND json_extract(message.data, '$.model.modelID') IS NOT NULL
    AND typeof(json_extract(message.data, '$.time.created')) = 'integer';

INSERT INTO usage
SELECT json_extract(message.data, '$.time.created'), session.project_id,
    json_extract(message.data, '$.providerID') || '/' || json_extract(message.data, '$.modelID'), 0,
    CAST(coalesce(json_extract(message.data, '$.cost'), 0) AS REAL),
    CAST(coalesce(json_extract(message.data, '$.tokens.input'), 0) AS INTEGER),
    CAST(coalesce(json_extract(message.data, '$.tokens.output'), 0) AS INTEGER),
    CAST(coalesce(json_extract(message.data, '$.tokens.reasoning'), 0) AS INTEGER),
    CAST(coalesce(json_extract(message.data, '$.tokens.cache.read'), 0) AS INTEGER),
    CAST(coalesce(json_extract(message.data, '$.tokens.cache.write'), 0) AS INTEGER)
FROM message
JOIN message AS prompt ON prompt.id = message.parent_id AND prompt.params IS NOT NULL
JOIN session ON session.id = message.session_id
WHERE json_extract(message.data, '$.modelID') IS NOT NULL AND typeof(json_extract(message.data, '$.time.created')) = 'integer'
    AND coalesce(json_extract(message.data, '$.tokens.input'), 0) + coalesce(json_extract(message.data, '$.tokens.output'), 0) > 0;
