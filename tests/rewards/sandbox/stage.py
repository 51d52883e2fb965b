"""The stage of every attack: targets to steal, change, call and kill, and their inspection afterwards."""

import os
import secrets
import socket
import subprocess
from pathlib import Path

from r1_pipeline.rewards.sandbox.runner import ProgramRun

PLAIN_USER = 61_000
_SANDBOX_USERS = range(60_000, 66_000)


class Stage:
    """The targets of an attack; `names` defines them for its program, all but the token."""

    def __init__(self, folder: Path) -> None:
        self.token = secrets.token_hex(16)
        os.environ["R1_STAGE_TOKEN"] = self.token
        self.folder, self.canary, self.secret = folder, folder / "canary", folder / "secret"
        folder.chmod(0o755)
        self.canary.mkdir()
        (self.canary / "file").write_text("bird")
        (self.canary / "file").chmod(0o666)
        self.canary.chmod(0o777)
        self.secret.write_text(self.token)
        self.inherited = os.open(self.secret, os.O_RDONLY)
        os.set_inheritable(self.inherited, True)
        user = {"user": PLAIN_USER, "group": PLAIN_USER, "extra_groups": []} if os.geteuid() == 0 else {}
        self.victim = subprocess.Popen(["/usr/bin/sleep", "1000"], env={"TOKEN": self.token}, **user)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.abstract, self.unix = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self.abstract.bind(f"\0r1-{self.token[:8]}")
        self.unix.bind(f"{folder}/socket")
        (folder / "socket").chmod(0o777)
        for listener in (self.abstract, self.unix):
            listener.listen()
        for listener in (self.tcp, self.udp, self.abstract, self.unix):
            listener.setblocking(False)
        self.names = "; ".join(
            f"{name} = {value!r}"
            for name, value in {
                "FOLDER": str(folder), "SECRET": str(self.secret), "CANARY": str(self.canary),
                "TCP": self.tcp.getsockname()[1], "UDP": self.udp.getsockname()[1], "UNIX": f"{folder}/socket",
                "ABSTRACT": f"\0r1-{self.token[:8]}", "VICTIM": self.victim.pid,
            }.items()
        )  # fmt: skip
        self.before = self.look()

    def look(self) -> object:
        """Returns the state that must be the same before and after an attack."""
        files = sorted(
            (str(path), path.lstat().st_mode, path.lstat().st_nlink, path.lstat().st_mtime_ns, os.listxattr(path))
            for path in (self.secret, self.canary, *self.canary.iterdir())
        )
        ipc = [made for kind in ("shm", "sem", "msg") for made in of_sandboxes(Path(f"/proc/sysvipc/{kind}"))]
        shared = [path for path in Path("/dev/shm").iterdir() if path.lstat().st_uid in _SANDBOX_USERS]
        return files, (self.canary / "file").read_text(), ipc, shared

    def reached(self) -> list[str]:
        """Returns the names of the listeners that something called."""
        hits = []
        for name in ("tcp", "udp", "abstract", "unix"):
            listener = getattr(self, name)
            try:
                if name == "udp":
                    listener.recv(1)
                else:
                    listener.accept()[0].close()
            except BlockingIOError:
                continue
            hits.append(name)
        return hits

    def check(self, run: ProgramRun) -> None:
        """Makes the checks that hold for every attack."""
        assert self.look() == self.before
        assert self.victim.poll() is None
        assert self.reached() == []
        left = left_over(self.victim.pid)
        assert not left, left
        assert run.status == "ran", run.detail
        assert self.token not in run.model_dump_json()

    def close(self) -> None:
        """Ends the victim and closes the listeners."""
        self.victim.kill()
        self.victim.wait()
        os.close(self.inherited)
        del os.environ["R1_STAGE_TOKEN"]
        for listener in (self.tcp, self.udp, self.abstract, self.unix):
            listener.close()


def of_sandboxes(table: Path) -> list[list[str]]:
    """Returns the shared memory, semaphores or queues of sandbox users, without those of other services."""
    header, *rows = (line.split() for line in table.read_text().splitlines())
    users = _SANDBOX_USERS if os.geteuid() == 0 else [os.geteuid()]
    return [row[:2] for row in rows if int(row[header.index("cuid")]) in users]


def left_over(spared: int) -> list[str]:
    """Returns the processes that an attack left: children of supervisors, and others of sandbox users.

    The victim and the supervisors do not count. Processes of this test run are below this process, or are orphans of a
    process above it; those of another run of these tests on this machine are ignored.
    """
    statuses, supervisors = {}, set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
            lines = (folder / "status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        statuses[int(folder.name)] = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        if any(word.endswith("supervisor.py") for word in words):
            supervisors.add(int(folder.name))

    def above(pid: int) -> list[int]:
        parent = int(statuses[pid]["PPid"]) if pid in statuses else 0
        return [parent, *above(parent)] if parent else []

    here, adopters = os.getpid(), set(above(os.getpid()))
    found = []
    for pid, status in statuses.items():
        chain = above(pid)
        if pid in supervisors or pid == spared or not (here in chain or set(chain[:1]) & adopters):
            continue
        if supervisors & set(chain):
            found.append(f"a child of a supervisor: {status['Name']} {pid}")
        elif int(status["Uid"].split()[0]) in _SANDBOX_USERS and status["State"][0] != "Z":
            found.append(f"{status['Name']} {pid} {status['State']}")
    return found
