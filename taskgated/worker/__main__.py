"""``python -m taskgated.worker``: the worker server. Started by taskgated, never by hand."""

import sys

from taskgated.worker.server import main

sys.exit(main())
