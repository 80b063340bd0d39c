"""The client folder: read it, check it, say what is missing, lay out an empty one."""

from __future__ import annotations

from ccp_assess.client.new import new_client
from ccp_assess.client.read import read_client
from ccp_assess.client.records import Client, ClientFile

__all__ = ["Client", "ClientFile", "new_client", "read_client"]
