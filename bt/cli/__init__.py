"""The command line: the only terminal output of bt.

`main` parses with typer, runs one job, and turns whatever it raises into a message and an exit code. What a command
answers goes to standard output, everything else to standard error, prints of a strategy included.

The rooms, in the order in which a command passes through them:

1. `app` - the commands and their options; it imports nothing heavy, so that help and usage errors are instant;
2. `streams` - standard output kept for results; `cores` - Polars' threads, said before it is imported;
3. `replaying`, `contents`, `completeness`, `intake`, `catalog` - what the commands do: replay, data, quality, sample and
   ingest, runs;
4. `options`, `asked` - what several of them are asked, as the rooms below want it;
5. `progress`, `tables` - what people see meanwhile and at the end;
6. `failures` - every exception as a message and an exit code.
"""

from bt.cli.app import main

__all__ = ["main"]
