"""Two million damaged records: none raises, none loops, and memory does not grow."""

from __future__ import annotations

import json
import os
import random
import resource
import time
from pathlib import Path

import pytest

from auditdeck.audit.assembler import Assembler
from auditdeck.audit.event import Event
from auditdeck.audit.log import Reading
from auditdeck.context.users import Users
from auditdeck.ecs.context import offline_context
from auditdeck.ecs.lines import interpreted_lines
from auditdeck.ecs.template import Encoder
from auditdeck.settings.model import Settings
from tests.unit.test_documents import mutated

FIXTURES = Path(__file__).parent.parent / "fixtures"
LOGS = ["audit.log", "go-audit/audit.log", "user-space.log"]
MUTATIONS = int(os.environ.get("MUTATIONS", "2000000"))
SLOWEST = 0.5
"""Seconds for one event, on a machine that does other things as well."""


def events() -> list[Event]:
    found = []
    for name in LOGS:
        with open(FIXTURES / name, "rb") as lines:
            found += list(Reading(name).events(lines))
    return found


@pytest.mark.timeout(1200)
def test_damaged_records() -> None:
    chance = random.Random(20261124)
    encoder, users = Encoder(offline_context(Settings()), socket_events=True), Users()
    known, records, slowest, middle = events(), 0, 0.0, 0
    while records < MUTATIONS:
        for event in known:
            start = len(event.stamp) + 9
            made = Event(event.stamp, [(kind, mutated(payload, start, chance)) for kind, payload in event.items])
            began = time.process_time()
            line = encoder.encode(made)
            slowest = max(slowest, time.process_time() - began)
            records += len(made.items)
            if records % 50 == 0:
                json.loads(line)
                for shown in interpreted_lines(made, users):
                    assert shown.startswith("type=")
        if not middle and records >= MUTATIONS / 2:
            middle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert slowest < SLOWEST
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - middle < 8 << 10, "KiB more than halfway"


def test_damaged_stamps() -> None:
    """The assembler takes anything, and gives each payload back: in an event, or as damaged."""
    chance = random.Random(7)
    assembler = Assembler()
    given = returned = 0
    for _ in range(200):
        for event in events()[:20]:
            batch = [(kind, mutated(payload, 0, chance)) for kind, payload in event.items if kind != 1320]
            given += len(batch)
            for made in assembler.feed(batch, now=0.0):
                returned += len(made.items)
            returned += len(assembler.damaged)
            assembler.damaged.clear()
    returned += sum(len(made.items) for made in assembler.close())
    assert returned == given
