"""A ZooKeeper on loopback, which ClickHouse servers use to agree about replicated tables.

It comes with the system (Debian: `zookeeper`, and Java), not with the project.
"""

import shutil
import socket
import subprocess
from pathlib import Path

from heliograph.stack import ports

JARS = Path("/usr/share/java")
MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
CONFIGURATION = """
tickTime=500
dataDir={folder}/data
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=ruok
"""


def missing() -> list[str]:
    """What of it is not installed here."""
    found = {"java": shutil.which("java"), "zookeeper": (JARS / "zookeeper.jar").exists()}
    return [name for name, there in found.items() if not there]


class ZooKeeper:
    """One server with an empty store. `start` it, `stop` it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = ports.choose({"zookeeper": 0})["zookeeper"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it may take some seconds until it is `ready`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "zoo.cfg"
        file.write_text(CONFIGURATION.format(folder=self._folder, port=self.port))
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["java", "-Xmx128m", "-cp", f"{JARS / 'zookeeper.jar'}:{JARS}/*", MAIN, str(file)],
                stdout=log,
                stderr=log,
            )

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"ruok")
                return connection.recv(4) == b"imok"
        except OSError:
            return False

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
