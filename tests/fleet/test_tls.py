"""A scheduler and a worker as processes of their own, spoken to with certificates; and who is refused."""

import json
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fleet_sources import local_scheduler, make_source, tree

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet import cluster
from ccp_assess.fleet.certificates import write_certificates
from ccp_assess.fleet.cluster import Engine, connect
from ccp_assess.fleet.run import run_fleet

NOW = datetime.now(UTC)
DASK = Path(sys.executable).parent / "dask"


def tls_of(folder: Path, member: str) -> list[str]:
    return [
        *("--tls-ca-file", str(folder / "ca.pem"), "--tls-cert", str(folder / f"{member}.pem")),
        *("--tls-key", str(folder / f"{member}.key")),
    ]


def scheduler_of(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a scheduler as a user does; return its process and address."""
    told = folder / "scheduler.json"
    process = subprocess.Popen(
        [
            *(DASK, "scheduler", "--host", "127.0.0.1", "--port", "0", "--protocol", "tls", "--no-dashboard"),
            *("--scheduler-file", str(told)),
            *tls_of(folder, "scheduler"),
        ],
        stderr=subprocess.DEVNULL,
    )
    while not told.exists() or not told.read_text().endswith("}"):
        assert process.poll() is None
        time.sleep(0.05)
    return process, json.loads(told.read_text())["address"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls") / "own"
    write_certificates(folder, now=NOW)
    return folder


@pytest.fixture(scope="module")
def address(certificates: Path) -> Iterator[str]:
    scheduler, address = scheduler_of(certificates)
    worker = subprocess.Popen(
        [
            *(DASK, "worker", address, "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"),
            *tls_of(certificates, "worker"),
        ],
        stderr=subprocess.DEVNULL,
    )
    yield address
    for process in (worker, scheduler):
        process.terminate()
        process.wait()


def engine_of(address: str, folder: Path, member: str = "client") -> Engine:
    return Engine(
        scheduler=address,
        ca=str(folder / "ca.pem"),
        certificate=str(folder / f"{member}.pem"),
        key=str(folder / f"{member}.key"),
    )


@pytest.mark.shared
def test_a_run_through_tls_gives_the_tables_of_a_local_one(tmp_path: Path, address: str, certificates: Path) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=2)
    command = [sys.executable, "-m", "ccp_assess", "fleet", "run", str(source), "--out", str(tmp_path / "far")]
    tls = [word.replace("--tls-ca-file", "--tls-ca") for word in tls_of(certificates, "client")]
    subprocess.run([*command, "--scheduler", address, *tls], check=True, stdout=subprocess.DEVNULL, timeout=120)
    run_fleet(str(source), str(tmp_path / "near"), Engine(scheduler=local_scheduler()))
    assert tree(tmp_path / "far") == tree(tmp_path / "near")


@pytest.mark.shared
def test_who_has_no_certificate_is_told_so_on_the_command_line(tmp_path: Path, address: str) -> None:
    source = make_source(tmp_path / "acme", sites=1, days=1)
    command = [sys.executable, "-m", "ccp_assess", "fleet", "run", str(source), "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, "--scheduler", address], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("TLS needs all three: --tls-ca, --tls-cert and --tls-key")
    assert "Traceback" not in done.stderr


def refused(engine: Engine) -> str:
    with pytest.raises(CcpAssessError) as told, connect(engine):
        pass
    text = str(told.value)
    assert "\n" not in text
    return text


@pytest.fixture
def others(tmp_path: Path) -> Path:
    write_certificates(tmp_path / "others", now=NOW)
    return tmp_path / "others"


def test_a_scheduler_of_another_authority_is_refused(address: str, certificates: Path, others: Path) -> None:
    (certificates / "strange.pem").write_bytes((others / "ca.pem").read_bytes())
    engine = Engine(
        scheduler=address,
        ca=str(others / "ca.pem"),
        certificate=str(certificates / "client.pem"),
        key=str(certificates / "client.key"),
    )
    assert "not of the authority in --tls-ca" in refused(engine)


def test_a_certificate_of_another_authority_is_refused(address: str, certificates: Path, others: Path) -> None:
    engine = Engine(
        scheduler=address,
        ca=str(certificates / "ca.pem"),
        certificate=str(others / "client.pem"),
        key=str(others / "client.key"),
    )
    assert "refuses the certificate in --tls-cert" in refused(engine)


def test_a_scheduler_of_tls_spoken_to_in_the_clear_is_told(address: str) -> None:
    assert "write tls://" in refused(Engine(scheduler=address.replace("tls", "tcp")))


@pytest.mark.shared
def test_a_scheduler_in_the_clear_spoken_to_in_tls_is_told(certificates: Path) -> None:
    clear = local_scheduler().replace("tcp", "tls")
    assert "no TLS is spoken there" in refused(engine_of(clear, certificates))


@pytest.mark.parametrize(
    ("days", "text"), [(-40, "the certificate expired on"), (2, "later than this machine's clock; set the clock")]
)
def test_a_certificate_out_of_its_time_is_told_before_anyone_is_asked(tmp_path: Path, days: int, text: str) -> None:
    write_certificates(tmp_path / "old", now=NOW + timedelta(days=days))
    assert text in refused(engine_of("tls://127.0.0.1:1", tmp_path / "old"))


def test_files_that_do_not_belong_together_are_told(tmp_path: Path, certificates: Path, others: Path) -> None:
    def told(**files: Path) -> str:
        known = {"ca": "ca.pem", "certificate": "client.pem", "key": "client.key"}
        paths = {name: str(files.get(name, certificates / file)) for name, file in known.items()}
        return refused(Engine(scheduler="tls://127.0.0.1:1", **paths))

    assert "is not the key of" in told(key=others / "client.key")
    assert "give one as --tls-cert" in told(certificate=certificates / "client.key")
    assert "give one as --tls-key" in told(key=certificates / "client.pem")
    assert "give a file as --tls-ca" in told(ca=tmp_path / "nowhere.pem")


def test_keys_are_their_owners_alone_and_the_authority_keeps_none(certificates: Path) -> None:
    keys = sorted(certificates.glob("*.key"))
    assert [path.name for path in keys] == ["client.key", "scheduler.key", "worker.key"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys)
    with pytest.raises(CcpAssessError, match="is there already"):
        write_certificates(certificates, now=NOW)


def test_who_may_only_send_work_cannot_pass_for_a_scheduler(tmp_path: Path, certificates: Path) -> None:
    folder = tmp_path / "posing"
    folder.mkdir()
    for name in ("ca.pem", "client.pem", "client.key"):
        (folder / name.replace("client", "scheduler")).write_bytes((certificates / name).read_bytes())
    process, address = scheduler_of(folder)
    try:
        assert "not of the authority in --tls-ca" in refused(engine_of(address, certificates))
    finally:
        process.terminate()
        process.wait()


def test_a_scheduler_without_workers_is_told(
    tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_WORKERS_WAIT_S", 0.5)
    (tmp_path / "own").mkdir()
    for path in certificates.glob("*.[pk]e[my]"):
        (tmp_path / "own" / path.name).write_bytes(path.read_bytes())
    process, address = scheduler_of(tmp_path / "own")
    try:
        assert "the scheduler has no workers" in refused(engine_of(address, certificates))
    finally:
        process.terminate()
        process.wait()


def test_no_other_user_of_this_machine_can_send_work_to_our_own_workers() -> None:
    from distributed import Client

    with connect(Engine(workers=1)) as client:
        own = client.scheduler.address
        workers = client.scheduler_info()["workers"]
        assert all(name.startswith("tls://127.0.0.1:") for name in [own, *workers])
        assert client.dashboard_link.startswith("http://127.0.0.1:")
        for address in (own, *workers):
            with pytest.raises(OSError, match="closed"), Client(address.replace("tls", "tcp"), set_as_default=False):
                pass
