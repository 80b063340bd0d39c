"""A cluster of several machines with networks of their own, TLS between them and a bucket as all that they share.

The commands are those that ``ccp-assess fleet certificates`` prints, word by word.
"""

# ruff: noqa: S108  (each machine has a temporary folder of its own)

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fleet_sources import make_source, tree
from machines import PROGRAMS, PROJECT, Machine, Switch, environment_of, switch, wait_for

import ccp_assess

pytestmark = [
    pytest.mark.root,
    pytest.mark.shared,
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

SOURCE = "s3://acme-evidence/acme"
FIREWALL = """
table inet ports {{
  chain input {{
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
    {}
  }}
}}
"""
COPY = "import fsspec, sys; fs = fsspec.filesystem('s3'); fs.{}(sys.argv[1], sys.argv[2], recursive=True)"
COUNT = "import fsspec, sys; print(len(fsspec.filesystem('s3').find(sys.argv[1])))"


@dataclass
class Cluster:
    """Machines, and the three commands as they were printed on the one that sends the work."""

    net: Switch
    store: Machine
    scheduler: Machine
    workers: tuple[Machine, Machine]
    runner: Machine
    printed: tuple[list[str], list[str], list[str]]

    def words(self, number: int, dest: str = "") -> list[str]:
        """Fill a printed command in, as who reads it does."""
        places = {"SCHEDULER": self.scheduler.address, "SOURCE": SOURCE, "DEST": dest}
        words = self.printed[number]
        for name, value in places.items():
            words = [word.replace(name, value) for word in words]
        return words

    def add(self, name: str, *, opened: str = "") -> Machine:
        """Set up one more machine, behind a firewall of its own."""
        machine = self.net.add(name)
        done = machine.run("sh", "-c", 'echo "$1" | nft -f -', "nft", FIREWALL.format(opened))
        assert done.returncode == 0, done.stderr
        machine.environment = {**environment_of(self.store), "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
        return machine

    def add_worker(self, name: str) -> Machine:
        """Set up a machine for workers: only the scheduler can call it."""
        return self.add(name, opened=f"ip saddr {self.scheduler.address} tcp dport 8800-8999 accept")

    def give(self, machine: Machine, member: str) -> None:
        """Copy the certificates of a member to a machine, as with scp."""
        for name in ("ca.pem", f"{member}.pem", f"{member}.key"):
            machine.put(f"/tmp/tls/{name}", self.runner.read(f"/tmp/tls/{name}").encode(), mode="600")

    def joined(self, machine: Machine) -> bool:
        """Tell whether the scheduler took a worker of this machine in."""
        return f"Register worker addr: tls://{machine.address}:" in self.scheduler.read("/tmp/dask-scheduler.log")

    def count(self, url: str) -> int:
        """Count the objects below a folder of the bucket."""
        return int(self.store.run("python", "-c", COUNT, url).stdout)

    def tables(self, url: str, folder: Path) -> dict[str, bytes]:
        """Fetch a dataset."""
        path = f"/tmp/{folder.name}"
        done = self.store.run("python", "-c", COPY.format("get"), f"{url}/", path)
        assert done.returncode == 0, done.stderr
        self.store.get_folder(path, folder)
        return tree(folder)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    hidden = tmp_path_factory.mktemp("machines")
    folder = make_source(hidden / "acme", sites=2, days=2)
    with switch(hidden) as net:
        store = net.add("store")
        built = Cluster(net, store, store, (store, store), store, ([], [], []))
        store.environment = {**environment_of(store), "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
        built.scheduler = built.add("scheduler", opened="tcp dport 8786 accept")
        built.runner = built.add("runner")
        built.workers = (built.add_worker("first"), built.add_worker("second"))
        store.start("moto_server", "-H", store.address, "-p", "5000")
        told = built.runner.run("ccp-assess", "fleet", "certificates", "--out", "/tmp/tls")
        assert told.returncode == 0, told.stderr
        lines = [shlex.split(line) for line in told.stdout.splitlines() if line.startswith(("  dask", "  ccp-assess"))]
        built.printed = (lines[0], lines[1], lines[2])
        built.give(built.scheduler, "scheduler")
        built.scheduler.start(*built.words(0))
        wait_for("the store", lambda: store.is_listening(5000))
        store.put_folder(folder, "/tmp/acme")
        made = store.run("python", "-c", "import fsspec; fsspec.filesystem('s3').mkdir('acme-evidence')")
        assert made.returncode == 0, made.stderr
        assert store.run("python", "-c", COPY.format("put"), "/tmp/acme", SOURCE).returncode == 0
        wait_for("the scheduler", lambda: built.scheduler.is_listening(8786))
        for worker in built.workers:
            built.give(worker, "worker")
            worker.start(*built.words(1))
        wait_for("the workers", lambda: all(built.joined(worker) for worker in built.workers))
        yield built


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a refused command says: one sentence, no traceback."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_cluster_of_machines_gives_the_bytes_of_one_machine(cluster: Cluster, tmp_path: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    assert source.is_dir()
    for worker in cluster.workers:  # a bucket is all that they share
        assert worker.run("ls", source).returncode != 0
        seen = set(worker.run("ls", "/tmp").stdout.split()) - set(PROJECT.parts)  # which may lie below it
        assert seen == {"dask-scratch-space", "dask-worker.log", "tls"}
    far = cluster.runner.run(*cluster.words(2, "s3://acme-evidence/far"))
    assert far.returncode == 0, far.stderr
    assert "5 units were done now" in far.stdout
    alone = ("ccp-assess", "fleet", "run", SOURCE, "--out", "s3://acme-evidence/near", "--workers", "1")
    near = cluster.runner.run(*alone)
    assert near.returncode == 0, near.stderr
    tables = cluster.tables("s3://acme-evidence/far", tmp_path / "far")
    assert tables == cluster.tables("s3://acme-evidence/near", tmp_path / "near")
    assert any(path.startswith("seconds/") for path in tables)


def test_a_machine_in_the_clear_is_refused_unless_it_is_asked_for(cluster: Cluster) -> None:
    clear = f"tcp://{cluster.scheduler.address}:8786"
    command = ("ccp-assess", "fleet", "run", SOURCE, "--out", "s3://acme-evidence/clear", "--scheduler", clear)
    assert "or --insecure on a network that nobody else reaches" in told(cluster.runner.run(*command))
    assert "it does not speak in the clear; write tls://" in told(cluster.runner.run(*command, "--insecure"))


def test_who_holds_no_certificate_of_the_authority_neither_joins_nor_sends_work(cluster: Cluster) -> None:
    stranger = cluster.add_worker("stranger")
    assert stranger.run("ccp-assess", "fleet", "certificates", "--out", "/tmp/tls").returncode == 0
    refused = told(stranger.run(*cluster.words(2, "s3://acme-evidence/strange")))
    assert "its certificate is not of the authority in --tls-ca" in refused
    stranger.put("/tmp/tls/ca.pem", cluster.runner.read("/tmp/tls/ca.pem").encode())
    refused = told(stranger.run(*cluster.words(2, "s3://acme-evidence/strange")))
    assert "it refuses the certificate in --tls-cert" in refused
    joining = [*cluster.words(1), "--nworkers", "1"]
    assert stranger.run(*joining, "--death-timeout", "4").returncode != 0
    assert not cluster.joined(stranger)
    cluster.give(stranger, "worker")
    stranger.start(*joining)
    wait_for("the same machine with the right certificate", lambda: cluster.joined(stranger))
    stranger.end()


def test_machines_that_differ_are_told_each_in_one_sentence_and_the_others_go_on(cluster: Cluster) -> None:
    old, late, full = (cluster.add_worker(name) for name in ("old", "late", "full"))
    package = Path(ccp_assess.__file__)
    old.put("/tmp/init.py", package.read_bytes().replace(b'__version__ = "', b'__version__ = "0.0.'))
    assert old.run("mount", "--bind", "/tmp/init.py", package).returncode == 0
    before = {old: (), late: ("faketime", "-f", "+40m"), full: ()}
    one = ("taskset", "--cpu-list", "0")  # one process each
    for machine, words in before.items():
        cluster.give(machine, "worker")
        machine.start(*one, *words, *cluster.words(1))
    wait_for("the workers", lambda: all(cluster.joined(machine) for machine in before))
    assert full.run("sh", "-c", "mount -o remount,size=1m /tmp; head -c 2000000 /dev/zero >/tmp/rubbish").returncode
    done = cluster.runner.run(*cluster.words(2, "s3://acme-evidence/odd"))
    assert done.returncode == 0, done.stderr
    assert "5 units were done now" in done.stdout
    version = ccp_assess.__version__
    lines = done.stderr.splitlines()
    for machine, words in {
        old: f" has ccp-assess 0.0.{version} (",
        late: " is 40 min ahead of this machine's; set both",
        full: " can write nothing to its temporary folder /tmp/dask-scratch-space/",
    }.items():
        assert sum(f" {machine.name} (tls://{machine.address}:" in line and words in line for line in lines) == 1, lines
    for machine in before:
        machine.end()


def test_a_machine_whose_cable_is_pulled_costs_time_and_nothing_else(cluster: Cluster, tmp_path: Path) -> None:
    lost, dest = cluster.add_worker("lost"), "s3://acme-evidence/cut"
    cluster.give(lost, "worker")
    lost.start(*cluster.words(1))
    wait_for("the workers", lambda: cluster.joined(lost))
    run = cluster.runner.start(*cluster.words(2, dest))
    wait_for("the first question", lambda: "'tell'" in lost.read("/tmp/dask-worker.log"))
    time.sleep(0.3)  # it answers, and is given units; to load what reads them takes longer
    cluster.net.cut(lost)
    assert run.wait(timeout=600) == 0, cluster.runner.read("/tmp/ccp-assess-fleet.log")
    removed = f"Remove worker addr: tls://{lost.address}:"
    wait_for("its end", lambda: removed in cluster.scheduler.read("/tmp/dask-scheduler.log"))
    assert cluster.count(f"{dest}/units") == 5
    calm = cluster.runner.run(*cluster.words(2, "s3://acme-evidence/calm"))
    assert calm.returncode == 0, calm.stderr
    assert cluster.tables(dest, tmp_path / "cut") == cluster.tables("s3://acme-evidence/calm", tmp_path / "calm")
    lost.end()
