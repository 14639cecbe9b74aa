"""At which rate of connects each collector begins to lose events.

python -m bench.rates [SECONDS]
"""

from __future__ import annotations

import sys

from tests.support.outside import Outside, outside

from bench.live import Load, measure, unaudited
from bench.peers import PEERS, Peer

RATES = (5_000, 10_000, 15_000, 20_000, 25_000, 30_000, 40_000)


def highest(kind: type[Peer], away: Outside, seconds: int, limit: float) -> str:
    """The highest rate without loss, and what was lost at the next one."""
    good = 0.0
    for rate in (*(rate for rate in RATES if rate < limit), 0):
        measured = measure(kind, Load("rate", "connect", int((rate or limit) * seconds), rate), away)
        if measured.missing:
            return f"{good:,.0f}/s without loss; at {measured.rate:,.0f}/s {measured.missing:,} events are missing"
        good = measured.rate
    return f"{good:,.0f}/s without loss, as fast as the generator goes"


def main(seconds: int) -> None:
    with outside() as away:
        away.serve(seconds=3600)
        limit = unaudited(Load("rate", "connect", 100_000, 0), away)
        print(f"without audit the generator makes {limit:,.0f} connects a second")
        for kind in PEERS:
            print(f"  {kind.__name__:10} {kind.missing() or highest(kind, away, seconds, limit)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
