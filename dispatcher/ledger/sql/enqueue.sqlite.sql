-- Insert messages, but for those whose id or idempotency key is there already.
-- :messages  JSON array of objects, one for each message (see enqueue.py)
-- Returns the ids of those that were inserted.
INSERT INTO dispatcher_messages (
    id, channel, priority, state, recipient, body, gift, idempotency_key, fingerprint, campaign_id, tags, source,
    due_at, expires_at, max_attempts, created_at, updated_at
)
SELECT
    json_extract(value, '$.id'), json_extract(value, '$.channel'), json_extract(value, '$.priority'), 'queued',
    json_extract(value, '$.recipient'), json_extract(value, '$.body'), json_extract(value, '$.gift'),
    json_extract(value, '$.idempotency_key'), json_extract(value, '$.fingerprint'),
    json_extract(value, '$.campaign_id'), json_extract(value, '$.tags'), json_extract(value, '$.source'),
    json_extract(value, '$.due_at'), json_extract(value, '$.expires_at'), json_extract(value, '$.max_attempts'),
    json_extract(value, '$.created_at'), json_extract(value, '$.created_at')
FROM json_each(:messages)
WHERE true -- else "ON CONFLICT" would be read as the condition of a join
ON CONFLICT DO NOTHING
RETURNING id
