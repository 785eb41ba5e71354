"""The embedded BigQuery with pages of a few rows, so that small tables have several streams.

Run as a program, with the arguments of `pipeline.local.bigquery_server`.
"""

import sys

from pipeline.local import bigquery_server
from pipeline.local.service import pages

PAGE_ROWS = 10

if __name__ == "__main__":
    pages.PAGE_ROWS = PAGE_ROWS
    bigquery_server.main(sys.argv[1:])
