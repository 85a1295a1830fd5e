"""Least privilege: the tracker's role may add to the record and read it; its owner alone changes tables."""

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

CHANGED = {"shard_leases": "UPDATE", "unfinished": "DELETE"}
"""The tables that are no record, and what besides INSERT and SELECT is done to them."""
READER = "heliograph_reader"
"""A role for questions by hand. Where it exists it may read every table, and nothing else."""


def grant(owner_url: str, url: str) -> None:
    """Give the role of `url` what the tracker needs on the tables of `owner_url`, and take all else away.

    Raises:
        psycopg.OperationalError: the server is away.
        psycopg.errors.UndefinedObject: there is no such role.
    """
    role = sql.Identifier(str(conninfo_to_dict(url)["user"]))
    with psycopg.connect(owner_url) as connection:
        found = connection.execute("SELECT current_schema()").fetchone()
        schema = sql.Identifier(str(found[0] if found else "public"))
        for statement in (
            "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}",
            "REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {role}",
            "REVOKE CREATE ON SCHEMA {schema} FROM {role}",
            "GRANT USAGE ON SCHEMA {schema} TO {role}",
            "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO {role}",
            "GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
        ):
            connection.execute(sql.SQL(statement).format(schema=schema, role=role))
        for table, privilege in CHANGED.items():
            connection.execute(
                sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(privilege), sql.Identifier(table), role)
            )
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (READER,)).fetchone() is not None:
            for statement in (
                "GRANT USAGE ON SCHEMA {schema} TO {reader}",
                "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {reader}",
                "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {reader}",
            ):
                connection.execute(sql.SQL(statement).format(schema=schema, reader=sql.Identifier(READER)))
