"""Numbers to judgement: the E-model and the codecs it needs (all pure)."""
