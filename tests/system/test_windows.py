"""Time windows in the time zone of a machine, which its administrator changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.system.gate import Gate


@pytest.fixture
def in_utc(gate: Gate) -> Iterator[Gate]:
    put = ("ln", "-sfn", "/usr/share/zoneinfo/Etc/UTC", "/etc/localtime")
    gate.machine.run(*put)
    yield gate
    gate.machine.run(*put)


def test_a_window_opens_when_the_machine_gets_another_time_zone(in_utc: Gate) -> None:
    """In UTC it opens in eight hours; in Tokyo, nine hours before, it has been open for one."""
    gate, now = in_utc, datetime.now(UTC)
    opens, closes = (f"{now + timedelta(hours=hours):%H:%M}" for hours in (8, 10))
    gate.configure(f"queues: {{night: {{windows: {{opens: '{opens}', closes: '{closes}'}}}}}}\n")
    gate.drop("windowed.yaml", "{name: windowed, command: 'true'}", queue="night")
    job = gate.until_state("windowed", "queued")
    assert "outside the windows of queue night" in gate.ctl("why", str(job["id"])).stdout
    gate.machine.run("ln", "-sfn", "/usr/share/zoneinfo/Asia/Tokyo", "/etc/localtime")
    gate.until_state("windowed", "succeeded")


def test_without_time_zones_the_check_says_what_to_install(gate: Gate) -> None:
    gate.machine.write(
        "/root/draft.yaml", "queues: {night: {windows: {opens: '22:00 Europe/Berlin', closes: 6:00 UTC}}}\n"
    )
    command = "mount -t tmpfs none /usr/share/zoneinfo && exec taskgated --check --config /root/draft.yaml"
    refused = gate.machine.try_("unshare", "--mount", "sh", "-c", command)
    assert "time zone 'Europe/Berlin' is not known, as this host has none: install tzdata" in refused.stdout
    assert refused.returncode == 78
