"""The recipients file is what its script makes, and holds numbers that nobody has."""

from __future__ import annotations

import doctest
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from dispatcher.domain.recipient import parse_recipient
from dispatcher.domain.segments import Encoding, segments
from dispatcher.embedded.demo import misbehaviour
from dispatcher.embedded.demo.recipients import own_file, read_burst
from dispatcher.embedded.trouble import StackTrouble
from tests.embedded.processes import PROJECT


def test_the_script_makes_the_committed_file(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "examples" / "make_recipients.py", tmp_path)
    subprocess.run([sys.executable, "make_recipients.py"], cwd=tmp_path, check=True)
    assert (tmp_path / "recipients.csv").read_bytes() == (PROJECT / "examples" / "recipients.csv").read_bytes()


def test_every_row_can_be_sent_and_both_alphabets_occur() -> None:
    burst = read_burst(own_file(), sms=1000, gifts=25)
    recipients = [sms.recipient for sms in burst.sms] + [gift.recipient for gift in burst.gifts]
    numbers = [parse_recipient(recipient) for recipient in recipients]
    assert all(number.startswith(("+61491", "+447700900", "+1")) for number in numbers)
    assert all(number[5:9] == "5550" or not number.startswith("+1") for number in numbers)
    alphabets = Counter(segments(sms.body).encoding for sms in burst.sms)
    assert min(alphabets[Encoding.GSM7], alphabets[Encoding.UCS2]) > 100
    assert len({gift.idempotency_key for gift in burst.gifts}) == 25


def test_a_file_with_too_few_rows_is_refused_in_a_sentence(tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    short.write_text("channel,recipient,text,sku,amount,currency,key\nsms,+61491570006,hello,,,,k\n")
    with pytest.raises(StackTrouble, match="has 1 SMS and 0 gifts, 20 and 1 were asked for"):
        read_burst(short, sms=20, gifts=1)


def test_a_seed_says_who_is_hit_and_nobody_is_hit_twice() -> None:
    numbers = [f"+447700900{number:03}" for number in range(1000)]
    rules = list(misbehaviour.fault_rules(numbers, numbers[:25], seed=1))
    assert rules == list(misbehaviour.fault_rules(numbers, numbers[:25], seed=1))
    assert rules != list(misbehaviour.fault_rules(numbers, numbers[:25], seed=2))
    hit = [(rule["path"], rule["recipient"]) for rule in rules]
    assert len(hit) == len(set(hit))


def test_the_documented_examples_hold() -> None:
    assert doctest.testmod(misbehaviour).failed == 0
