"""ClickHouse's HTTP interface in front of the embedded engine, in a process of its own.

No package carries a ClickHouse server, but the embedded engine is ClickHouse. With this in front of it, what
goes over the wire to a server can be tested: the client's HTTP path, accounts and databases, parameters and
settings by request, inserts in any format, errors with their codes, and a server that is gone for a while.
Each request has a session of its own, as on a server. There is a storage policy `tiered` with a volume
`cold`, the macros `shard` and `replica`, and the clusters `one` and `sharded`; with the port of a ZooKeeper,
replicated tables can be made, but no rows go into them, since the engine has no address for other replicas.
What is not a server here: replication, clusters, rights, compressed answers, and what else a server's own
configuration changes.

    python tests/clickhouse_http.py FOLDER PORT USER PASSWORD [REPLICA ZOOKEEPER_PORT]
"""

import gzip
import importlib
import json
import logging
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import chdb
from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler, make_server

FORMAT = "TabSeparated"
"""Of an answer whose query names none."""
NO_SETTINGS = frozenset(
    {"query", "database", "default_format", "query_id", "session_id", "client_protocol_version"}
    | {"wait_end_of_query", "buffer_size", "enable_http_compression"}
)
"""Parameters of a request that are the interface's own."""
INSERT = re.compile(
    rb"\A\s*(INSERT\s+INTO\s+(?:(?!\b(?:SELECT|VALUES)\b).)+?)\s+FORMAT\s+(\w+)\s*?(?:\n|\Z)", re.DOTALL
)
NAMED_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)[\s;]*\Z", re.IGNORECASE)
CODE = re.compile(r"Code: (\d+)")
STATUS = {516: 403, 60: 404, 81: 404, 47: 404, 62: 400, 115: 404}
"""By error code: authentication, unknown table, database, identifier, syntax, unknown setting; others 500."""
CONFIGURATION = """
<clickhouse>{keeper}
<macros><shard>01</shard><replica>{replica}</replica></macros>
<remote_servers>
    <one><shard>{server}</shard></one>
    <sharded><shard>{server}</shard><shard>{server}</shard></sharded>
</remote_servers>
<storage_configuration>
    <disks><cold><type>local</type><path>{cold}/</path></cold></disks>
    <policies><tiered><volumes>
        <default><disk>default</disk></default>
        <cold><disk>cold</disk></cold>
    </volumes></tiered></policies>
</storage_configuration></clickhouse>
"""
SERVER = "<replica><host>127.0.0.1</host><port>9000</port></replica>"
KEEPER = "<zookeeper><node><host>127.0.0.1</host><port>{}</port></node></zookeeper>"
ACCESS_DENIED = "Code: 516. DB::Exception: {}: Authentication failed. (AUTHENTICATION_FAILED)"
DECODE: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.decompress,
    "lz4": importlib.import_module("lz4.frame").decompress,
}


class Statement(NamedTuple):
    """What a request asks for: the SQL, and the rows of an insert with their format."""

    sql: bytes
    rows: bytes | None
    format: str


def statement(query: bytes, body: bytes) -> Statement:
    """The statement of a request, whose query comes in its address, in its body, or in both."""
    whole = query + b"\n" + body if query else body
    insert = INSERT.match(whole)
    if insert:
        return Statement(insert[1], whole[insert.end() :], insert[2].decode())
    named = NAMED_FORMAT.search(whole)
    return Statement(whole, None, named[1].decode() if named else "")


class Engine:
    """The embedded engine; every request gets a handle, and so a session, of its own."""

    def __init__(self, folder: str, replica: str, keeper: str) -> None:
        file = Path(folder) / "configuration.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            CONFIGURATION.format(
                cold=escape(f"{folder}/cold"),
                replica=escape(replica),
                server=SERVER,
                keeper=KEEPER.format(int(keeper)) if keeper else "",
            )
        )
        caches = "mark_cache_size=16777216&primary_index_cache_size=16777216"
        self._address = f"{folder}/data?config-file={file}&{caches}"
        self._open = chdb.connect(self._address)
        self.version = self._open.query("SELECT version()", FORMAT).bytes().decode().strip()

    def run(
        self, asked: Statement, database: str, settings: Mapping[str, str], parameters: Mapping[str, str]
    ) -> Response:
        """The answer to a statement.

        Raises:
            RuntimeError: the engine's error, with its code.
        """
        handle = chdb.connect(self._address)
        try:
            if database:
                handle.query(f"USE `{database.replace('`', '``')}`", FORMAT)
            for name, value in settings.items():
                handle.query(f"SET {name} = {_literal(value)}", FORMAT)
            if asked.rows is None:
                return _select(handle, asked, parameters)
            return _insert(handle, asked)
        finally:
            handle.close()


def _select(handle: Any, asked: Statement, parameters: Mapping[str, str]) -> Response:
    if asked.format:
        result = handle.query(asked.sql, asked.format, params=dict(parameters))
        return _answer(result.bytes() or b"", asked.format, read_rows=result.rows_read())
    # With the names of its columns, an empty result can be told from none.
    result = handle.query(asked.sql, f"{FORMAT}WithNames", params=dict(parameters))
    names, _, rows = (result.bytes() or b"").partition(b"\n")
    return _answer(rows, FORMAT if names else "", read_rows=result.rows_read())


def _insert(handle: Any, asked: Statement) -> Response:
    with tempfile.NamedTemporaryFile(prefix="insert-") as file:
        file.write(asked.rows or b"")
        file.flush()
        source = f" FROM INFILE {_literal(file.name)} FORMAT {asked.format}".encode()
        result = handle.query(asked.sql + source, FORMAT)
    return _answer(b"", "", written_rows=result.rows_read())


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _answer(body: bytes, named: str, **summary: int) -> Response:
    response = Response(body, content_type="application/octet-stream")
    response.headers["X-ClickHouse-Timezone"] = "UTC"
    response.headers["X-ClickHouse-Summary"] = json.dumps(
        {name: str(count) for name, count in summary.items()}
    )
    if named:
        response.headers["X-ClickHouse-Format"] = named
    return response


def failure(message: str, version: str) -> Response:
    """An error as a server tells it."""
    message = message[message.find("Code: ") :]
    found = CODE.match(message)
    code = int(found[1]) if found else 1001
    response = Response(f"{message} (version {version})\n", STATUS.get(code, 500), content_type="text/plain")
    response.headers["X-ClickHouse-Exception-Code"] = str(code)
    return response


class Interface:
    """The WSGI application."""

    def __init__(self, engine: Engine, user: str, password: str) -> None:
        self._engine = engine
        self._account = user, password

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request; an error of the engine is an answer."""
        request = Request(environ)
        # Read in any case: what is left of a body would be taken for the next request.
        body = request.get_data()
        try:
            response = self._respond(request, body)
        except RuntimeError as error:
            response = failure(str(error), self._engine.version)
        return response(environ, start_response)

    def _respond(self, request: Request, body: bytes) -> Response:
        if request.path == "/ping":
            return Response("Ok.\n")
        given = request.authorization
        if (given.username, given.password) != self._account if given else True:
            raise RuntimeError(ACCESS_DENIED.format(given.username if given else "default"))
        fields = request.args.to_dict()
        if request.mimetype == "multipart/form-data":
            fields |= request.form.to_dict()
            body = b""
        parameters = {name[6:]: value for name, value in fields.items() if name.startswith("param_")}
        settings = {
            name: value
            for name, value in fields.items()
            if name not in NO_SETTINGS and not name.startswith("param_")
        }
        data = DECODE[request.headers.get("Content-Encoding", "identity")](body)
        asked = statement(fields.get("query", "").encode(), data)
        return self._engine.run(asked, fields.get("database", ""), settings, parameters)


class Handler(WSGIRequestHandler):
    """Connections that stay, as a server's do, and answers that do not wait for the client's."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True


def main() -> None:
    """Serve until killed; connections are taken once the engine is open."""
    folder, port, user, password, *more = sys.argv[1:]
    replica, keeper = more or ("one", "")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = Interface(Engine(folder, replica, keeper), user, password)
    make_server("127.0.0.1", int(port), application, threaded=True, request_handler=Handler).serve_forever()


if __name__ == "__main__":
    main()
