"""What stores of several kinds say when they refuse, each told in one sentence with what to do."""

from pathlib import Path

import fsspec
import pytest

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.dataset import open_dataset
from ccp_assess.fleet.refusals import told_as_kept, why
from ccp_assess.fleet.sources import list_source, open_place


class NoCredentialsError(Exception):
    """Of botocore."""


class ClientAuthenticationError(Exception):
    """Of Azure."""


class ResourceNotFoundError(Exception):
    """Of Azure."""


class DefaultCredentialsError(Exception):
    """Of Google."""


@pytest.mark.parametrize(
    ("error", "url", "text"),
    [
        (NoCredentialsError("Unable to locate credentials"), "s3://a/b", "no credentials for s3:// were accepted"),
        (PermissionError("The AWS Access Key Id you provided"), "s3://a/b", "have no access to it"),
        (PermissionError(13, "Access Denied"), "s3://a/b", "have no access to it"),
        (
            PermissionError("The difference between the request time and the current time is too large."),
            "s3://a/b",
            "the clock of the machine that asked is wrong",
        ),
        (
            DefaultCredentialsError("invalid_grant: Token must be a short-lived token (60 minutes)"),
            "gs://a/b",
            "the clock of the machine that asked is wrong",
        ),
        (FileNotFoundError("The specified bucket does not exist"), "s3://a/b", "there is no such bucket"),
        (OSError(5, "An error occurred (NoSuchBucket)"), "s3://a/b", "there is no such bucket"),
        (DefaultCredentialsError("Your default credentials"), "gs://a/b", "no credentials for gs:// were accepted"),
        (FileNotFoundError("b/nobkt/o"), "gs://a/b", "there is no such bucket"),
        (ClientAuthenticationError("failed to retrieve a token\nmore"), "abfs://a/b", "no credentials for abfs://"),
        (ValueError("Must provide either a connection_string or"), "abfs://a/b", "no credentials for abfs://"),
        (ResourceNotFoundError("The specified container does not exist.\nId"), "abfs://a/b", "no such bucket"),
        (ImportError("Please install gcsfs"), "gs://a/b", "pip install 'ccp-assess[google]'"),
        (ImportError("Install adlfs"), "abfs://a/b", "pip install 'ccp-assess[azure]'"),
        (ImportError("Install s3fs"), "s3://a/b", "pip install 'ccp-assess[fleet]'"),
        (OSError(28, "No space left on device"), "/data/out", "No space left on device"),
        (OSError(121, "We encountered an error.\nTry"), "s3://a/b", "We encountered an error."),
    ],
)
def test_every_library_s_own_words_become_one_sentence(error: Exception, url: str, text: str) -> None:
    told = why(error, url)
    assert text in told
    assert "\n" not in told


def test_a_driver_that_is_missing_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> object:
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(CcpAssessError, match=r"gs://bucket/x: cannot be opened \(its driver.*ccp-assess\[google\]"):
        open_place("gs://bucket/x")


def test_a_kind_of_store_that_nobody_knows_is_told() -> None:
    with pytest.raises(CcpAssessError, match=r"cannot be opened \(Protocol not known: nonsense\)"):
        open_place("nonsense://bucket/x")


def test_a_store_without_credentials_is_told_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("FSSPEC_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(CcpAssessError, match=r"nothing can be written there \(no credentials for s3://"):
        open_dataset(open_place("s3://bucket/x"))


def test_what_fails_in_the_middle_says_that_work_is_kept_and_a_fault_of_our_own_does_not(tmp_path: Path) -> None:
    kept = r"/x: a store or disk failed \(Input/output error\); what was finished is kept"
    with pytest.raises(CcpAssessError, match=kept), told_as_kept("/x"):
        raise OSError(5, "Input/output error")
    with pytest.raises(ZeroDivisionError), told_as_kept("/x"):
        raise ZeroDivisionError
    with pytest.raises(CcpAssessError, match="no such folder"), told_as_kept("/x"):
        list_source(open_place(str(tmp_path / "nowhere")))
