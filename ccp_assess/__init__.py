"""Assess a network for the Amazon Connect softphone and choose the AWS Region, with evidence.

The package exposes modules, so that a reader always sees where a function lives::

    from ccp_assess import assess
    result = assess.assess_client("data/sample")
"""

__version__ = "0.1.0"
