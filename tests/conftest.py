"""For all tests."""

import os

# A daemon that a test starts finds by words alone, unless the test says otherwise: embedding every document anew would be most of its work.
os.environ.setdefault("FRONTDESK_KNOWLEDGE_FUSION", "0")
