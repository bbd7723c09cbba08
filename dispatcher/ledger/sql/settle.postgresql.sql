-- Settle a batch of attempts in one statement.
-- :settlements  JSON array of objects, one for each attempt (see settle.py)
-- :now          the moment of settling, UTC text
-- A gift that was certainly not carried out loses its guard, and its campaign gets back what was booked for it.
-- Returns the ids and channels of the messages whose state was set; the others had lost their lease.
WITH incoming AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:settlements AS json)) AS i (
        id uuid, lease uuid, attempt_id uuid, "trigger" text, worker text, started_at timestamp, finished_at timestamp,
        outcome text, http_status smallint, error text, error_description text, retry_after_s double precision,
        provider_id text, latency_ms integer, token_generation bigint, response text, next_due_at timestamp,
        why_next text, state text, spent smallint, doubtful smallint, refused_generation bigint, accepted smallint,
        free smallint, last_error text, failure text, configuration_answers smallint, request_ids jsonb
    )
), settled AS (
    UPDATE dispatcher_messages m SET
        state = i.state,
        due_at = COALESCE(i.next_due_at AT TIME ZONE 'UTC', m.due_at),
        -- A doubt has spent an attempt; the answer that resolves it tells whether that call really did.
        attempts_made = m.attempts_made + i.spent - CASE m.state WHEN 'in_doubt' THEN 1 ELSE 0 END,
        calls_made = m.calls_made + 1,
        doubtful_sends = m.doubtful_sends + i.doubtful,
        refused_generation = i.refused_generation,
        configuration_answers = i.configuration_answers,
        "trigger" = 'auto',
        lease_token = CASE WHEN i.state = 'in_doubt' THEN m.lease_token END,
        lease_expires_at = NULL,
        provider_id = COALESCE(i.provider_id, m.provider_id),
        last_outcome = i.outcome,
        last_error = i.last_error,
        last_status = i.http_status,
        last_code = i.error,
        failure = i.failure,
        accepted_at = CASE WHEN i.accepted = 1 THEN i.finished_at AT TIME ZONE 'UTC' ELSE m.accepted_at END,
        updated_at = CAST(:now AS timestamp) AT TIME ZONE 'UTC'
    FROM incoming i
    -- Said by CASE, so that messages are found by their ids and not among all that are in either state.
    WHERE m.id = i.id AND m.lease_token = i.lease
        AND CASE m.state WHEN 'sending' THEN true WHEN 'in_doubt' THEN i.state <> 'in_doubt' ELSE false END
    RETURNING m.id, m.calls_made, m.channel
), attempted AS (
    INSERT INTO dispatcher_attempts (
        id, message_id, number, "trigger", worker, started_at, finished_at, outcome, http_status, error,
        error_description, retry_after_s, provider_id, latency_ms, token_generation, response, next_due_at, why_next,
        request_ids
    )
    SELECT
        i.attempt_id, i.id, s.calls_made, i."trigger", i.worker, i.started_at AT TIME ZONE 'UTC',
        i.finished_at AT TIME ZONE 'UTC', i.outcome, i.http_status, i.error, i.error_description, i.retry_after_s,
        i.provider_id, i.latency_ms, i.token_generation, i.response, i.next_due_at AT TIME ZONE 'UTC', i.why_next,
        i.request_ids
    FROM incoming i JOIN settled s ON s.id = i.id
), freed AS (
    DELETE FROM dispatcher_gift_guards g USING incoming i, settled s
    WHERE g.message_id = i.id AND s.id = i.id AND i.free = 1
    RETURNING g.campaign_id, g.amount, g.booked_on
), held AS (
    -- In one order, so that two batches at once do not wait for each other in a circle.
    SELECT id FROM dispatcher_campaigns WHERE id IN (SELECT campaign_id FROM freed) ORDER BY id FOR NO KEY UPDATE
), released AS (
    UPDATE dispatcher_campaigns c SET
        spent = c.spent - (SELECT SUM(f.amount) FROM freed f WHERE f.campaign_id = c.id),
        spent_that_day = c.spent_that_day
            - (SELECT COALESCE(SUM(f.amount), 0) FROM freed f WHERE f.campaign_id = c.id AND f.booked_on = c.day)
    FROM held h WHERE c.id = h.id
)
SELECT id, channel FROM settled
