"""Thousands of invalid or malicious data sets, checkpoints and exported folders.

Each is rejected with a one-line error, or works: no traceback, no crash, no hang, no file changed,
no code run, no name looked up, at most 1 GiB. A single case: python tests/attack/campaign.py KIND
SEED
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).with_name("campaign.py")
# Of each kind how many seeds, and how far apart: of the sample those that neither train nor need an
# export beside OpenVINO's, which would take longer than all cases.
SAMPLE = {"data_sets": (20, 1), "checkpoints": (10, 4), "exports": (5, 4)}
FULL = {"data_sets": (2000, 1), "checkpoints": (500, 1), "exports": (200, 1)}


def attack(counts):
    """The outcome of each seed from 0 on of each kind."""
    words = [word for kind, (count, step) in counts.items()
             for word in (kind, "0", str(count), str(step))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("KEEP", None)
    process = subprocess.run([sys.executable, str(CAMPAIGN), *words], capture_output=True,
                             text=True, env=environment)
    assert process.returncode == 0, process.stderr[-3000:]
    outcomes = [json.loads(line) for line in process.stdout.splitlines()]
    assert Counter(outcome["kind"] for outcome in outcomes) == {
        kind: count for kind, (count, _) in counts.items()}
    return outcomes


def summary(kind, outcomes):
    """A line of figures."""
    codes = Counter(outcome["code"] for outcome in outcomes)
    slowest = max(outcomes, key=lambda outcome: outcome["seconds"])
    largest = max(outcomes, key=lambda outcome: outcome["memory"])
    failed = sum(bool(outcome["faults"]) for outcome in outcomes)
    return (f"{kind}: {len(outcomes)} cases, {codes[0]} accepted, {codes[1] + codes[2]} refused, "
            f"{failed} with faults; slowest {slowest['seconds']:.1f} s (seed {slowest['seed']}), "
            f"largest memory {largest['memory'] / 2**20:.0f} MiB (seed {largest['seed']}), "
            f"{sum(outcome['seconds'] for outcome in outcomes):.0f} s in all")


def check(kind, outcomes):
    """Fail with the seeds and how to run one alone."""
    failed = [outcome for outcome in outcomes if outcome["faults"]]
    lines = [
        f"{kind} {outcome['seed']} ({outcome['description'][:100]!a}): "
        f"{'; '.join(outcome['faults'])[:400]}"
        for outcome in failed[:20]
    ]
    assert not failed, "\n".join([
        f"{len(failed)} of {len(outcomes)}; one alone: python "
        f"tests/attack/campaign.py {kind} SEED", *lines
    ])
    codes = {outcome["code"] for outcome in outcomes}
    assert {0, 2} <= codes, "an attack that is always, or never, refused tries nothing"


@pytest.fixture(scope="module")
def sample():
    return attack(SAMPLE)


@pytest.mark.parametrize("kind", SAMPLE)
def test_attack_sample_is_rejected_or_works(sample, kind):
    check(kind, [outcome for outcome in sample if outcome["kind"] == kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", FULL)
def test_full_attack_is_rejected_or_works(kind, capsys):
    outcomes = attack({kind: FULL[kind]})
    with capsys.disabled():
        print(f"\n{summary(kind, outcomes)}")
    check(kind, outcomes)
