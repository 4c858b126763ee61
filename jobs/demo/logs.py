"""Where the lines of the demo's pipeline go: its own to the progress line, everything to a file.

The demo reads its standard output; a warning begins with ``!``.
"""

# Everything is in the log, which is standard error.
LOGGING = """\
[loggers]
keys=root,luigi,weather,client

[logger_root]
level=INFO
handlers=all,screen

[logger_luigi]
qualname=luigi-interface
level=INFO
handlers=all
propagate=0

[logger_weather]
qualname=luigi-interface.weather
level=INFO
handlers=all,own
propagate=0

[logger_client]
qualname=jobs.nws
level=INFO
handlers=all
propagate=0

[handlers]
keys=all,own,screen

[handler_all]
class=StreamHandler
args=(sys.stderr,)
formatter=full

[handler_own]
class=StreamHandler
args=(sys.stdout,)
formatter=short

[handler_screen]
class=StreamHandler
level=WARNING
args=(sys.stdout,)
formatter=warning

[formatters]
keys=full,short,warning

[formatter_full]
format=%(asctime)s %(name)s %(levelname)s %(message)s

[formatter_short]
format=%(message)s

[formatter_warning]
format=! %(message)s
"""
