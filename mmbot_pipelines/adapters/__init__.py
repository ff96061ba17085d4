"""Adapters of chains, of the database and of services to the applications' ports."""

import logging

# URLs hold keys, and urllib3 logs paths of requests (debug) and whole URLs (warnings).
logging.getLogger("urllib3").setLevel(logging.ERROR)
