"""The weather pipeline: ``luigi --module jobs WeatherPipeline`` finds its tasks here.

The programs, such as ``python -m jobs.maintenance``, start without them: they load slowly.
"""

import sys

if "luigi" in sys.modules:
    from jobs import registered  # noqa: F401 - that is how Luigi finds them
