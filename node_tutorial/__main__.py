"""``python -m node_tutorial`` is the same as ``node-tutorial``."""

from .cli import main

raise SystemExit(main())
