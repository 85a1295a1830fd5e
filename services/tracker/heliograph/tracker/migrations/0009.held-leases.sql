-- depends: 0008.exact-tickets

-- Refuse, with an error of its own, to go on under a lease that is not the newest; those that are stay so until the
-- transaction ends. As an error it needs no answer before the writes that follow it are sent.
CREATE FUNCTION hold_leases(wanted_shards integer[], wanted integer[], epochs bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    lost integer;
BEGIN
    PERFORM FROM shard_leases l
    JOIN unnest(wanted_shards, wanted) AS w (shards, shard) ON l.shards = w.shards AND l.shard = w.shard
    ORDER BY l.shards, l.shard FOR SHARE OF l;
    SELECT w.shard INTO lost FROM unnest(wanted_shards, wanted, epochs) AS w (shards, shard, epoch)
    LEFT JOIN shard_leases l ON l.shards = w.shards AND l.shard = w.shard
    WHERE l.epoch IS DISTINCT FROM w.epoch LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'shard %: the lease is not the newest', lost USING ERRCODE = 'HG001';
    END IF;
END;
$$;
