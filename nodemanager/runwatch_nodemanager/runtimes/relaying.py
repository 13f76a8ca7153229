"""The program of a relay, which an order makes one of a container or one of a run in an instance.

Started as ``python -I -m runwatch_nodemanager.runtimes.relaying CONTROL REPORT`` with its order as
JSON on standard input. CONTROL and REPORT are file descriptors: numbers of signals come from the
first, one a line, and its end means that the supervisor is gone; to the second goes one line of
JSON, ``{container, pid, image, runtime}`` or ``{error, error_code}``. Ends with the agent's exit
code, or 125 where there is none. With ``remove`` in its order it only removes what is left.
"""

import contextlib
import json
import os
import signal
import sys
from typing import Any

from runwatch_nodemanager.runtimes.engine import Engine
from runwatch_nodemanager.runtimes.engine_address import EngineAddress, EngineError
from runwatch_nodemanager.runtimes.inner_relay import InnerRelay, end_inside
from runwatch_nodemanager.runtimes.relay import Relay


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Signals come over the pipe; those of a terminal or a service manager are the supervisor's.
        signal.signal(number, signal.SIG_IGN)
    order = json.load(sys.stdin)
    if order.get("remove"):
        with contextlib.suppress(EngineError):
            _remove(order)
        return 0
    kind = InnerRelay if "inner" in order else Relay
    relay = kind(order, control=int(sys.argv[1]), report=int(sys.argv[2]))
    code = relay.run()
    # Threads that wait for the engine must not keep it.
    os._exit(code)


def _remove(order: dict[str, Any]) -> None:
    engine = Engine(EngineAddress(url=order["address"], cert_path=order["cert_path"]))
    if "inner" in order:
        end_inside(engine, order["name"], order["inner"]["run_id"])
    else:
        engine.remove(order["remove"])


if __name__ == "__main__":
    sys.exit(main())
