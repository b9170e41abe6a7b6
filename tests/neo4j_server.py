"""A real Neo4j 5.26 Community server for tests, from Maven Central into a cache folder.

```
python tests/neo4j_server.py run      # start, print the address, stop at Ctrl-C
python tests/neo4j_server.py start    # start in the background, print the address
python tests/neo4j_server.py stop     # stop what `start` started and remove its data
```

Needs Java 17 or newer and Maven. The jars (GPL-3.0: used by tests, never shipped) are resolved once
into the user's cache folder, or `SHEAF_NEO4J_CACHE`; a manifest with the hash of every jar is
written last, so that a half-filled or damaged cache is noticed and filled again. Each server gets
its own temporary home, a free port of the loopback interface and a random password.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neo4j import Driver

VERSION = "5.26.20"
#: Plugin that the tools we compare with call (Apache-2.0); our own store never does.
APOC = "5.26.0"
START_SECONDS = 180.0
USER = "neo4j"

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sheaf</groupId><artifactId>neo4j-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.neo4j.app</groupId><artifactId>neo4j-server</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

_CONF = """server.bolt.listen_address=127.0.0.1:{port}
server.bolt.advertised_address=127.0.0.1:{port}
server.http.enabled=false
server.https.enabled=false
server.memory.pagecache.size=128m
dbms.usage_report.enabled=false
dbms.security.auth_max_failed_attempts=0
"""
_APOC_CONF = "dbms.security.procedures.unrestricted=apoc.*\n"

#: Neo4j's own start script passes these; without them it reaches into closed JDK packages.
_JVM = [
    "-Xmx1g",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")
    ),
    "--enable-native-access=ALL-UNNAMED",
    "--add-modules=jdk.incubator.vector",
]
#: A server that lives for minutes spends most of its time compiling itself: the quick compiler and
#: the plain collector take less of the processor than they give away. Not for measuring.
_SHORT_LIVED = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]


class Neo4jUnavailable(Exception):
    """The server cannot be made on this machine; the message is one line with the way out."""


@dataclass(frozen=True)
class Server:
    """A running server: where it is and who may come in."""

    uri: str
    user: str
    password: str
    home: Path
    pid: int

    def stop(self) -> None:
        """End the process group and remove the data. Stopping twice is allowed.

        The data are thrown away, so there is nothing that an orderly end would save.
        """
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
            while _alive(self.pid):
                time.sleep(0.02)
        shutil.rmtree(self.home, ignore_errors=True)


# ------------------------------------------------------------------------------------- the jars


def cache_folder() -> Path:
    """Return where the jars are kept: `SHEAF_NEO4J_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("SHEAF_NEO4J_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sheaf" / f"neo4j-{VERSION}"


def jars(cache: Path) -> Path:
    """Return the folder with every jar, resolved by Maven when the cache is not whole.

    Raises:
        Neo4jUnavailable: without Maven, or when Maven cannot resolve the jars.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        folder, manifest = cache / "jars", cache / "manifest.json"
        if _whole(folder, manifest):
            return folder
        manifest.unlink(missing_ok=True)
        partial = cache / "jars.partial"
        for path in (folder, partial):
            shutil.rmtree(path, ignore_errors=True)
        _resolve(partial)
        partial.rename(folder)
        listing = {path.name: _fingerprint(path) for path in sorted(folder.iterdir())}
        unfinished = cache / "manifest.json.partial"
        unfinished.write_text(json.dumps({"version": VERSION, "files": listing}, indent=1))
        unfinished.rename(manifest)
        return folder


def apoc_jar(cache: Path) -> Path:
    """Return the jar of APOC core, resolved by Maven when the cache does not hold it.

    Raises:
        Neo4jUnavailable: without Maven, or when Maven cannot resolve it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    jar = cache / f"apoc-core-{APOC}-core.jar"
    with _locked(cache / "lock"):
        if not jar.is_file():
            command = [
                _maven(), "-q", "-B", "-Dstyle.color=never",
                "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy",
                f"-Dartifact=org.neo4j.procedure:apoc-core:{APOC}:jar:core",
                f"-DoutputDirectory={cache / 'apoc.partial'}",
            ]  # fmt: skip
            subprocess.run(command, capture_output=True, check=False)
            try:
                (cache / "apoc.partial" / jar.name).rename(jar)
            except FileNotFoundError:
                raise Neo4jUnavailable(
                    f"Maven could not resolve APOC core {APOC}: check that it reaches Maven Central"
                ) from None
    return jar


def _maven() -> str:
    maven = shutil.which("mvn")
    if maven is None:
        raise Neo4jUnavailable(
            "the Neo4j tests need Maven and found no 'mvn' on the path: install it "
            "(Debian: apt-get install maven), or leave them out with -m 'not neo4j'"
        )
    return maven


def _resolve(target: Path) -> None:
    maven = _maven()
    with tempfile.TemporaryDirectory(prefix="sheaf-neo4j-pom-") as folder:
        pom = Path(folder) / "pom.xml"
        pom.write_text(_POM)
        command = [
            maven, "-q", "-B", "-Dstyle.color=never", "-f", str(pom),
            "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
            f"-DoutputDirectory={target}", "-DincludeScope=runtime",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    names = [path.name for path in target.glob("*.jar")] if target.is_dir() else []
    if done.returncode or f"neo4j-{VERSION}.jar" not in names:
        reason = next(
            (line for line in done.stdout.splitlines() if "ERROR" in line), "no reason given"
        )
        raise Neo4jUnavailable(
            f"Maven could not resolve Neo4j {VERSION} for the tests ({reason.strip()}): "
            "check that it reaches Maven Central, or leave them out with -m 'not neo4j'"
        )


def _whole(folder: Path, manifest: Path) -> bool:
    try:
        listing = json.loads(manifest.read_text())
        files = listing["files"]
        names = {path.name for path in folder.iterdir()}
        return (
            listing["version"] == VERSION
            and names == set(files)
            and all(_fingerprint(folder / name) == files[name] for name in names)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _fingerprint(path: Path) -> list[int | str]:
    return [path.stat().st_size, sha256(path.read_bytes()).hexdigest()]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# ------------------------------------------------------------------------------------ the server


def start(
    *,
    detached: bool = False,
    short_lived: bool = False,
    apoc: bool = False,
    imported: Path | None = None,
) -> Server:
    """Start a server with an empty database and wait until it answers.

    Args:
        detached: let the server outlive this process; otherwise it ends with it, also when this
            process is killed.
        short_lived: spend less on compiling; for tests, not for benchmarks.
        apoc: install APOC core, which other tools need; for benchmarks only.
        imported: a folder with `import.args`, loaded by neo4j-admin into the new database.

    Raises:
        Neo4jUnavailable: without Java 17 or Maven, or when the server does not come up.
    """
    java, folder = _java(), jars(cache_folder())
    home = Path(tempfile.mkdtemp(prefix="sheaf-neo4j-"))
    port = _free_port()
    for name in ("conf", "import", "logs", "plugins"):
        (home / name).mkdir()
    if apoc:
        shutil.copy(apoc_jar(cache_folder()), home / "plugins")
    (home / "conf" / "neo4j.conf").write_text(
        _CONF.format(port=port) + (_APOC_CONF if apoc else "")
    )
    if imported is not None:
        _import(java, folder, home, imported)
    uri = f"bolt://127.0.0.1:{port}"
    password = secrets.token_urlsafe(12)
    pid = _launch(java, folder, home, detached=detached, short_lived=short_lived)
    server = Server(uri, USER, password, home, pid)
    if not detached:
        atexit.register(server.stop)
    _set_password(server)
    return server


def restart(server: Server) -> Server:
    """Kill a server as a power cut would, and start it again on the same data and port."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
        while _alive(server.pid):
            time.sleep(0.02)
    pid = _launch(_java(), jars(cache_folder()), server.home, detached=False, short_lived=True)
    again = replace(server, pid=pid)
    atexit.register(again.stop)
    return again


def _launch(java: str, folder: Path, home: Path, *, detached: bool, short_lived: bool) -> int:
    """Start a server's process, wait until it answers, and return its number."""
    log = home / "console.log"
    command = [
        java, *_JVM, *(_SHORT_LIVED if short_lived else ()),
        "-cp", f"{folder}/*:{home / 'plugins'}/*", "org.neo4j.server.CommunityEntryPoint",
        f"--home-dir={home}", f"--config-dir={home / 'conf'}", "--console-mode",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=None if detached else _die_with_parent,
        )
    deadline = time.monotonic() + START_SECONDS
    while b"Started." not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            last = (log.read_text(errors="replace").strip().splitlines() or ["no output"])[-1]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            shutil.rmtree(home, ignore_errors=True)
            raise Neo4jUnavailable(
                f"Neo4j {VERSION} for the tests did not start (last line: {last}): "
                "run 'python tests/neo4j_server.py run' to see why, or use -m 'not neo4j'"
            )
        time.sleep(0.1)
    return process.pid


def _import(java: str, jars: Path, home: Path, source: Path) -> None:
    """Run `neo4j-admin database import full` of the same jars."""
    command = [
        java, *_JVM, *_SHORT_LIVED, "-cp", f"{jars}/*", "org.neo4j.cli.AdminTool",
        "database", "import", "full", "@import.args", "neo4j",
    ]  # fmt: skip
    environment = {**os.environ, "NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf")}
    done = subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        shutil.rmtree(home, ignore_errors=True)
        raise Neo4jUnavailable(f"neo4j-admin failed: {done.stdout}{done.stderr}")


def empty_database(driver: Driver) -> None:
    """Delete every node; constraints and indexes stay."""
    with driver.session() as session:
        session.run(
            "MATCH (n) CALL { WITH n DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS"
        ).consume()


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    way_out = (
        "install it (Debian: apt-get install openjdk-17-jre-headless maven), "
        "or leave them out with -m 'not neo4j'"
    )
    if java is None:
        raise Neo4jUnavailable(
            f"the Neo4j tests need Java 17 or newer and found no 'java' on the path: {way_out}"
        )
    asked = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', asked.stderr + asked.stdout)
    if found is None or int(found[1]) < 17:
        release = found[1] if found else "an unknown version"
        raise Neo4jUnavailable(f"the Neo4j tests need Java 17 or newer, found {release}: {way_out}")
    return java


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _set_password(server: Server) -> None:
    from neo4j import GraphDatabase

    with GraphDatabase.driver(server.uri, auth=(USER, "neo4j")) as driver:
        driver.execute_query(
            "ALTER CURRENT USER SET PASSWORD FROM 'neo4j' TO $new",
            new=server.password,
            database_="system",
        )


def _die_with_parent() -> None:
    """Ask Linux to end this child when its parent is killed; elsewhere `atexit` must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1 = PR_SET_PDEATHSIG


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):  # our own child would stay a zombie otherwise
        os.waitpid(pid, os.WNOHANG)
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


# -------------------------------------------------------------------------------- command line


def _show(server: Server) -> None:
    print(
        f"NEO4J_URI={server.uri}\nNEO4J_USERNAME={server.user}\nNEO4J_PASSWORD={server.password}",
        flush=True,
    )


def _state_file() -> Path:
    return cache_folder() / "running.json"


def _started() -> Server | None:
    """Return the server that `start` left running, if it still does."""
    try:
        state = json.loads(_state_file().read_text())
    except FileNotFoundError:
        return None
    server = Server(**{**state, "home": Path(state["home"])})
    # After a restart of the machine the number may belong to someone else; the home does not.
    return server if server.home.is_dir() and _alive(server.pid) else None


def main(action: str) -> int:
    """Do what the command line asks; return the exit code."""
    if action == "stop":
        running = _started()
        if running is None:
            print("no server that 'start' started is running", file=sys.stderr)
            return 1
        running.stop()
        _state_file().unlink()
        return 0
    if action == "start" and (running := _started()):
        _show(running)
        return 0
    try:
        server = start(detached=action == "start")
    except Neo4jUnavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _show(server)
    if action == "start":
        state = _state_file()
        state.touch(mode=0o600)  # it holds the password
        state.write_text(json.dumps({**vars(server), "home": str(server.home)}))
        return 0
    print("Neo4j is running; Ctrl-C stops it", file=sys.stderr)
    with contextlib.suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        while _alive(server.pid):
            time.sleep(0.5)
    server.stop()
    return 0


if __name__ == "__main__":
    if sys.argv[1:] not in (["start"], ["stop"], ["run"]):
        print("usage: python tests/neo4j_server.py start|stop|run", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1]))
