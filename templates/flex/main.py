"""What a Flex Template runs to launch a job: `bulkscore score` with the parameters as flags."""

import sys

from pipeline.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "score")
    sys.exit(main())
