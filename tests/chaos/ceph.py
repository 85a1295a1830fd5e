"""Ceph on loopback as one monitor, one store in memory and one S3 gateway: a second S3 beside moto.

It checks signatures, keeps locks and moves objects by lifecycle, whose day may take seconds. Its programs
come with the system (Debian: `ceph-mon ceph-osd ceph-common radosgw`), not with the project.
"""

import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path

from heliograph.stack import ports

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
ACCESS_KEY, SECRET_KEY = "heliograph", "heliograph-secret"
CLASSES = ("STANDARD_IA", "GLACIER", "DEEP_ARCHIVE")
STORE_BYTES = 1 << 30
CALL_S = 120
"""Seconds that one call of an administrator's program may take."""
CONFIGURATION = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{port2},v1:127.0.0.1:{port1}]
public network = 127.0.0.0/8
ms bind ipv6 = false
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
auth cluster required = none
auth service required = none
auth client required = none
auth supported = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon osd max initial pgs = 1000
run dir = {folder}
log file = {folder}/$name.log
admin socket = {folder}/$name.asok
pid file =
setuser match path = /nonexistent
[mon]
mon data = {folder}/mon
mon cluster log file = {folder}/cluster.log
mon data avail crit = 1
mon data avail warn = 2
[osd]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = {store_bytes}
osd class load list = *
osd class default list = *
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{gateway}
rgw data = {folder}/rgw
rgw enable apis = s3, admin
rgw enable usage log = false
rgw lc debug interval = {day_s}
rgw lifecycle work time = 00:00-24:00
rgw gc obj min wait = 2
rgw gc processor period = 5
rgw dynamic resharding = false
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


class Ceph:
    """The three processes; each is ended by `stop`, and the gateway may be killed and started again."""

    def __init__(self, folder: Path, day_s: int) -> None:
        self._configuration = folder / "ceph.conf"
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._gateway: subprocess.Popen[bytes] | None = None
        free = ports.choose({"v2": 0, "v1": 0, "gateway": 0})
        self._ports = free["v2"], free["v1"]
        self._fsid = str(uuid.uuid4())
        self.port = free["gateway"]
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        text = CONFIGURATION.format(
            fsid=self._fsid,
            port2=self._ports[0],
            port1=self._ports[1],
            folder=folder,
            store_bytes=STORE_BYTES,
            gateway=self.port,
            day_s=day_s,
        )
        self._configuration.write_text(text)

    @property
    def url(self) -> str:
        """Where S3 answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with the keys of the account."""
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        return {**os.environ, **keys, "AWS_DEFAULT_REGION": "us-east-1"}

    def start(self) -> None:
        """Make the cluster and its account, and start the gateway."""
        port2, port1 = self._ports
        addresses = f"[v2:127.0.0.1:{port2},v1:127.0.0.1:{port1}]"
        monitors = str(self._folder / "monmap")
        self._run("monmaptool", "--create", "--fsid", self._fsid, "--addv", "a", addresses, monitors)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors)
        self._keep("ceph-mon", "-f", "-i", "a")
        identity = str(uuid.uuid4())
        self._run("ceph", "--connect-timeout", str(CALL_S), "osd", "new", identity)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
        self._keep("ceph-osd", "-f", "-i", "0")
        self._admin("realm", "create", "--rgw-realm=here", "--default")
        self._admin("zonegroup", "create", "--rgw-zonegroup=default", "--master", "--default")
        self._admin(
            "zone", "create", "--rgw-zonegroup=default", "--rgw-zone=default", "--master", "--default"
        )
        for name in CLASSES:
            placed = "--placement-id=default-placement", f"--storage-class={name}"
            self._admin("zonegroup", "placement", "add", "--rgw-zonegroup=default", *placed)
            pool = f"--data-pool=default.rgw.{name.lower()}.data"
            self._admin("zone", "placement", "add", "--rgw-zone=default", *placed, pool)
        self._admin("period", "update", "--commit")
        keys = f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}"
        self._admin("user", "create", "--uid=test", "--display-name=test", *keys)
        self.start_gateway()

    def start_gateway(self) -> None:
        """Start the gateway and wait until it takes connections."""
        self._gateway = self._keep("radosgw", "-f", "-n", "client.rgw.a")
        end = time.monotonic() + CALL_S
        while ports.is_free(self.port):
            if self._gateway.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"radosgw: takes no connections on {self.port}; see {self._folder}")
            time.sleep(0.05)

    def kill_gateway(self) -> None:
        """End the gateway at once."""
        if self._gateway is not None:
            self._gateway.kill()
            self._gateway.wait()

    def stop(self) -> None:
        """End all of it."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def _admin(self, *arguments: str) -> None:
        self._run("radosgw-admin", *arguments)

    def _run(self, *command: str) -> None:
        called = subprocess.run(
            [*command, "-c", str(self._configuration)], capture_output=True, check=False, timeout=CALL_S
        )
        if called.returncode:
            raise RuntimeError(f"{' '.join(command)}: {called.stderr.decode()[-500:]}")

    def _keep(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*command, "-c", str(self._configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        return process
