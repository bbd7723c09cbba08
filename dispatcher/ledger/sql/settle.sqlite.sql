-- Settle a batch of attempts: four statements in one transaction, split at the semicolons.
-- :settlements  JSON array of objects, one for each attempt (see settle.py)
-- :now          the moment of settling, UTC text
-- The first returns the ids and channels of the messages whose state was set; the others had lost their lease.
UPDATE dispatcher_messages SET
    state = i.state,
    due_at = COALESCE(i.next_due_at, due_at),
    -- A doubt has spent an attempt; the answer that resolves it tells whether that call really did.
    attempts_made = attempts_made + i.spent - CASE dispatcher_messages.state WHEN 'in_doubt' THEN 1 ELSE 0 END,
    calls_made = calls_made + 1,
    doubtful_sends = doubtful_sends + i.doubtful,
    refused_generation = i.refused_generation,
    configuration_answers = i.configuration_answers,
    "trigger" = 'auto',
    lease_token = CASE WHEN i.state = 'in_doubt' THEN lease_token END,
    lease_expires_at = NULL,
    provider_id = COALESCE(i.provider_id, dispatcher_messages.provider_id),
    last_outcome = i.outcome,
    last_error = i.last_error,
    last_status = i.http_status,
    last_code = i.error,
    failure = i.failure,
    accepted_at = CASE WHEN i.accepted = 1 THEN i.finished_at ELSE accepted_at END,
    updated_at = :now
FROM (
    SELECT
        json_extract(value, '$.id') AS id,
        json_extract(value, '$.lease') AS lease,
        json_extract(value, '$.state') AS state,
        json_extract(value, '$.next_due_at') AS next_due_at,
        json_extract(value, '$.spent') AS spent,
        json_extract(value, '$.doubtful') AS doubtful,
        json_extract(value, '$.refused_generation') AS refused_generation,
        json_extract(value, '$.configuration_answers') AS configuration_answers,
        json_extract(value, '$.provider_id') AS provider_id,
        json_extract(value, '$.outcome') AS outcome,
        json_extract(value, '$.last_error') AS last_error,
        json_extract(value, '$.http_status') AS http_status,
        json_extract(value, '$.error') AS error,
        json_extract(value, '$.failure') AS failure,
        json_extract(value, '$.accepted') AS accepted,
        json_extract(value, '$.finished_at') AS finished_at
    FROM json_each(:settlements)
) AS i
WHERE dispatcher_messages.id = i.id AND dispatcher_messages.lease_token = i.lease
    AND (dispatcher_messages.state = 'sending' OR (dispatcher_messages.state = 'in_doubt' AND i.state <> 'in_doubt'))
RETURNING id, channel;

INSERT INTO dispatcher_attempts (
    id, message_id, number, "trigger", worker, started_at, finished_at, outcome, http_status, error,
    error_description, retry_after_s, provider_id, latency_ms, token_generation, response, next_due_at, why_next,
    request_ids
)
SELECT
    json_extract(value, '$.attempt_id'), m.id, m.calls_made, json_extract(value, '$.trigger'),
    json_extract(value, '$.worker'), json_extract(value, '$.started_at'), json_extract(value, '$.finished_at'),
    json_extract(value, '$.outcome'), json_extract(value, '$.http_status'), json_extract(value, '$.error'),
    json_extract(value, '$.error_description'), json_extract(value, '$.retry_after_s'),
    json_extract(value, '$.provider_id'), json_extract(value, '$.latency_ms'),
    json_extract(value, '$.token_generation'), json_extract(value, '$.response'),
    json_extract(value, '$.next_due_at'), json_extract(value, '$.why_next'), json_extract(value, '$.request_ids')
FROM json_each(:settlements) JOIN dispatcher_messages m ON m.id = json_extract(value, '$.id');

-- A gift that was certainly not carried out loses its guard, and its campaign gets back what was booked for it.
UPDATE dispatcher_campaigns SET
    spent = spent - (
        SELECT SUM(g.amount) FROM json_each(:settlements)
        JOIN dispatcher_gift_guards g ON g.message_id = json_extract(value, '$.id')
        WHERE json_extract(value, '$.free') = 1 AND g.campaign_id = dispatcher_campaigns.id
    ),
    spent_that_day = spent_that_day - (
        SELECT COALESCE(SUM(g.amount), 0) FROM json_each(:settlements)
        JOIN dispatcher_gift_guards g ON g.message_id = json_extract(value, '$.id')
        WHERE json_extract(value, '$.free') = 1 AND g.campaign_id = dispatcher_campaigns.id
            AND g.booked_on = dispatcher_campaigns.day
    )
WHERE id IN (
    SELECT g.campaign_id FROM json_each(:settlements)
    JOIN dispatcher_gift_guards g ON g.message_id = json_extract(value, '$.id')
    WHERE json_extract(value, '$.free') = 1
);

DELETE FROM dispatcher_gift_guards WHERE message_id IN (
    SELECT json_extract(value, '$.id') FROM json_each(:settlements) WHERE json_extract(value, '$.free') = 1
)
