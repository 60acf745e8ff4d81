"""`python -m taesd_stream` is `taesd-video`."""

import sys

from taesd_stream.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
