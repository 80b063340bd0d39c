"""The rights of docs/scale.md, given to users of a bucket one by one: enough for each, and none too many."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest
from collect_drops import collect, document, drop
from fleet_sources import make_source

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.answers import read_answers
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.run import run_fleet
from ccp_assess.fleet.sources import open_place

pytestmark = pytest.mark.shared

DOCS = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
BUCKETS = {"SOURCE": "evidence", "DEST": "dataset", "INBOX": "drops"}
FOLDER = "acme"


def rights() -> dict[str, list[tuple[str, str]]]:
    """Read the table of the documentation: who → action and place."""
    lines = DOCS.read_text(encoding="utf-8").split("| who | on SOURCE | on DEST | on the inbox |")[1].splitlines()[2:]
    found: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        if not line.startswith("|"):
            break
        who, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found[who] = [
            (action, place)
            for place, cell in zip(BUCKETS, cells, strict=True)
            for action in re.findall(r"`s3:(\w+)`", cell)
        ]
    return found


def policy(allowed: list[tuple[str, str]]) -> str:
    """Write them as AWS does."""

    def resource(action: str, place: str) -> str:
        return f"arn:aws:s3:::{BUCKETS[place]}" + ("" if action == "ListBucket" else f"/{FOLDER}/*")

    statements = [
        {"Effect": "Allow", "Action": f"s3:{action}", "Resource": resource(action, place)} for action, place in allowed
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


class Account:
    """An account with its users; whoever acts has the rights of one of them."""

    def __init__(self, url: str, patch: pytest.MonkeyPatch) -> None:
        self._url, self._patch = url, patch

    def client(self, service: str) -> Any:
        from boto3.session import Session

        return Session().client(  # the default session keeps who asked first
            service, endpoint_url=self._url, region_name="us-east-1"
        )

    def use(self, key: str, secret: str) -> None:
        self._patch.setenv("AWS_ACCESS_KEY_ID", key)
        self._patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        fsspec.get_filesystem_class("s3").clear_instance_cache()

    @contextmanager
    def acting(self, allowed: list[tuple[str, str]]) -> Iterator[None]:
        """Be a new user with these rights and no others."""
        from moto import settings

        settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
        self.use("test", "test")
        iam = self.client("iam")
        names = {user["UserName"] for user in iam.list_users()["Users"]}
        name = f"user{len(names)}"
        iam.create_user(UserName=name)
        if allowed:
            iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=policy(allowed))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.use(key["AccessKeyId"], key["SecretAccessKey"])
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        try:
            yield
        finally:
            settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
            self.use("test", "test")


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    from moto import settings
    from moto.core.authorization import ActionAuthenticatorMixin
    from moto.server import ThreadedMotoServer

    monkeypatch = pytest.MonkeyPatch()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    for name in ("AWS_ENDPOINT_URL", "FSSPEC_S3_ENDPOINT_URL"):
        monkeypatch.setenv(name, url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", float("inf"))
    monkeypatch.setattr(ActionAuthenticatorMixin, "request_count", 0)
    built = Account(url, monkeypatch)
    built.use("test", "test")
    fs = open_place("s3://evidence").fs
    for bucket in BUCKETS.values():
        fs.mkdir(bucket)
    yield built
    server.stop()
    monkeypatch.undo()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One worker in this process, so that it acts as whoever the test is."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None
    ) as cluster:
        yield Engine(scheduler=cluster.scheduler_address)


class Cast:
    """What each of them does; before it, things are put as they then stand, by somebody who may do all."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        self._fs: Any = None
        self._version = 0

    def _empty(self, *places: str) -> None:
        self._fs = open_place("s3://evidence").fs
        for place in places:
            for name in self._fs.find(BUCKETS[place]):
                self._fs.rm_file(name)

    def run(self) -> Callable[[], object]:
        """Have a capture replaced since the last run, so that what was made of it must go."""
        self._empty("SOURCE", "DEST")
        places = (f"s3://evidence/{FOLDER}", f"s3://dataset/{FOLDER}")
        source = self._folder / f"version{self._version}"
        self._version += 1
        self._fs.put(f"{make_source(source, sites=1, days=1)}/", f"evidence/{FOLDER}/", recursive=True)
        run_fleet(*places, self._engine)
        other = make_source(source / "other", sites=1, days=1, capture="clean.pcap")
        self._fs.put(f"{other}/", f"evidence/{FOLDER}/", recursive=True)

        def act() -> object:
            result = run_fleet(*places, self._engine)
            reasons = [row["reason"] for row in (*result.failed, *result.manifest["set_aside"])]
            if reasons:
                raise CcpAssessError(reasons[0])
            assert result.done == 1
            return result

        return act

    def read(self) -> Callable[[], object]:
        """Have a dataset."""
        self.run()()

        def act() -> None:
            url = f"s3://dataset/{FOLDER}"
            assert read_answers(url).rows["worst_sites"]
            assert Dataset(open_place(url)).check() == []

        return act

    def collect(self, *, take: bool = False) -> Callable[[], object]:
        """Have results in the inbox, and others collected before, of the same site and day."""
        self._empty("DEST", "INBOX")
        for number in (3, 6):  # of one day
            path = drop(self._folder, "one.json", document(number))
            self._fs.put_file(str(path), f"drops/{FOLDER}/{number}.json")
            if number == 3:
                collect(f"s3://drops/{FOLDER}", f"s3://dataset/{FOLDER}")

        def act() -> None:
            result = collect(f"s3://drops/{FOLDER}", f"s3://dataset/{FOLDER}", take=take)
            if result.waiting or result.refused:  # it says which file, and tries again
                raise CcpAssessError(f"not read: {result.waiting}, {dict(result.refused)}")
            assert (result.accepted, result.taken) == (1, 2 if take else 0)

        return act


@pytest.mark.long
@pytest.mark.parametrize(
    "who",
    [
        "`fleet run` and each of its workers",
        "`query`, `fleet report`, `fleet check`",
        "`fleet collect`",
        "`fleet collect --take`",
    ],
)
def test_each_has_the_rights_that_it_needs_and_none_too_many(
    account: Account, engine: Engine, tmp_path: Path, who: str
) -> None:
    cast = Cast(engine, tmp_path)
    prepare = {
        "`fleet run` and each of its workers": cast.run,
        "`query`, `fleet report`, `fleet check`": cast.read,
        "`fleet collect`": cast.collect,
        "`fleet collect --take`": partial(cast.collect, take=True),
    }[who]
    allowed = rights()[who]
    act = prepare()
    with account.acting(allowed):
        act()
    for one in allowed:
        act = prepare()
        with account.acting([entry for entry in allowed if entry != one]):
            with pytest.raises(CcpAssessError) as told:
                act()
            assert "\n" not in str(told.value), one


def test_a_probe_may_put_into_the_inbox_and_do_nothing_else(account: Account) -> None:
    from botocore.exceptions import ClientError

    allowed = rights()["a probe that drops"]
    with account.acting(allowed):
        client = account.client("s3")
        client.put_object(Bucket="drops", Key=f"{FOLDER}/1.json", Body=b"{}")
        for refused in (
            lambda: client.get_object(Bucket="drops", Key=f"{FOLDER}/1.json"),
            lambda: client.list_objects_v2(Bucket="drops"),
            lambda: client.delete_object(Bucket="drops", Key=f"{FOLDER}/1.json"),
            lambda: client.put_object(Bucket="drops", Key="elsewhere/1.json", Body=b"{}"),
            lambda: client.put_object(Bucket="dataset", Key=f"{FOLDER}/1.json", Body=b"{}"),
        ):
            with pytest.raises(ClientError, match="AccessDenied"):
                refused()
    with account.acting([]), pytest.raises(ClientError, match="AccessDenied"):
        account.client("s3").put_object(Bucket="drops", Key=f"{FOLDER}/1.json", Body=b"{}")
