DROP FUNCTION hold_leases;
