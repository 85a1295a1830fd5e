DROP TABLE integrity_checks;
DROP TABLE day_roots;
DROP TABLE ledger;
DROP FUNCTION block_link(text, integer, integer, bigint, bytea, text[], bigint[], bytea);
DROP FUNCTION row_digest(text, text);
