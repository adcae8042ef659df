"""``python -m node_tutorial`` is the same as ``node-tutorial``."""

from node_tutorial.cli import main

raise SystemExit(main())
