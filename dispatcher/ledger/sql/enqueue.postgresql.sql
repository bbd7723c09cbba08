-- Insert messages, but for those whose id or idempotency key is there already.
-- :messages  JSON array of objects, one for each message (see enqueue.py)
-- Returns the ids of those that were inserted.
INSERT INTO dispatcher_messages (
    id, channel, priority, state, recipient, body, gift, idempotency_key, fingerprint, campaign_id, tags, source,
    due_at, expires_at, max_attempts, created_at, updated_at
)
SELECT
    id, channel, priority, 'queued', recipient, body, gift, idempotency_key, fingerprint, campaign_id, tags, source,
    due_at AT TIME ZONE 'UTC', expires_at AT TIME ZONE 'UTC', max_attempts, created_at AT TIME ZONE 'UTC',
    created_at AT TIME ZONE 'UTC'
FROM json_to_recordset(CAST(:messages AS json)) AS i (
    id uuid, channel text, priority text, recipient text, body text, gift jsonb, idempotency_key text, fingerprint text,
    campaign_id uuid, tags jsonb, source text, due_at timestamp, expires_at timestamp, max_attempts smallint,
    created_at timestamp
)
ON CONFLICT DO NOTHING
RETURNING id
