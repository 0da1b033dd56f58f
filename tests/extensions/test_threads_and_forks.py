"""Threads that look names up while plugins load, and forks meanwhile: nobody waits for ever."""

from __future__ import annotations

import os
import threading
import time

import pytest
from helpers.plugins import hook, offering, python

from convpolicy.extensions.loading import PluginRegistry as Registry

CALLING_BACK = """
import threading
import convpolicy
def call():
    thread = threading.Thread(target=lambda: convpolicy.policy("torch"))
    thread.start()
    thread.join()
"""
EXECUTING = """
import concurrent.futures
import convpolicy
def call():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(convpolicy.policy, "torch").result()
"""
LOAD = """
import convpolicy as cp
from convpolicy.extensions import turn
turn.LIMIT = 10
print(sorted(name for name in cp.padding_rules() if name in ("seven", "eight")))
for report in cp.plugins():
    if report.errors:
        print(report.name, *report.errors)
"""
WAITS = "plugin 'waiting' waits, while it is being loaded, for a thread that uses the registry; start the thread later."


@pytest.mark.parametrize(("source", "faults"), [
    (CALLING_BACK + "call()\n" + offering("seven"), [WAITS]),
    (CALLING_BACK + hook("call()\n    return [PaddingRule('seven', ahead)]"), [WAITS]),
    (EXECUTING + hook("call()\n    return [PaddingRule('seven', ahead)]"),
     [WAITS, f"plugin 'waiting': convpolicy_padding_rules raised PluginError: {WAITS}"]),
])  # fmt: skip
def test_a_plugin_that_waits_for_its_own_look_up(install, tmp_path, source, faults):
    """No dead-lock: the thread is refused, the plugin is named, the plugin beside it is there."""
    install("waiting", source)
    install("good", offering("eight"))
    result = python(tmp_path, LOAD)
    rules = ["eight", "seven"] if len(faults) == 1 else ["eight"]
    assert result.stdout.splitlines() == [str(rules), " ".join(["waiting", *faults])]


def test_other_threads_wait_for_a_slow_plugin(install):
    """A thread that is nobody's waits, also when it starts while a plugin sleeps on a lock; it gets the whole registry."""
    install("slow", "import threading\nthreading.Event().wait(0.5)\n" + offering("seven"))
    registry, found = Registry(), []
    threads = [threading.Thread(target=lambda: found.append("seven" in registry.parts("padding rule"))) for _ in range(8)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert found == [True] * 8


FORKING = """
import os, sys, threading, time
import convpolicy as cp
sys.begun = threading.Event()
{before}
sys.begun.clear()
threading.Thread(target={target}).start()
sys.begun.wait()
child = os.fork()
if child == 0:
    os._exit(0 if {found} else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
SLOW_HOOK = """
class Slow:
    @cp.hookimpl
    def convpolicy_padding_rules(self):
        sys.begun.set()
        time.sleep(0.4)
        return [cp.PaddingRule("nine", lambda *sizes: (0, 9))]

class Quick:
    @cp.hookimpl
    def convpolicy_padding_rules(self):
        return [cp.PaddingRule("ten", lambda *sizes: (0, 9))]
"""
FORKS = {
    "while another thread loads": ("", "cp.plugins", "'seven' in cp.padding_rules()"),
    "while another thread registers": (
        SLOW_HOOK + "cp.plugins()",
        "lambda: cp.register(Slow())",
        "cp.register(Quick()) and {'nine', 'ten'} <= set(cp.padding_rules())",
    ),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize("name", FORKS)
def test_a_fork(install, tmp_path, name):
    """The child has the whole registry and may register more: it does not wait for a thread that it does not have."""
    install("slow", "import sys, time\nsys.begun.set()\ntime.sleep(0.4)\n" + offering("seven"))
    before, target, found = FORKS[name]
    result = python(tmp_path, FORKING.format(before=before, target=target, found=found))
    assert (result.stdout, result.stderr) == ("0\n", "")


def test_a_fork_in_a_thread_that_a_loading_plugin_waits_for(install, tmp_path):
    """It does not wait for the loading thread, which waits for it; the child loads afresh."""
    source = "import os, threading, sys, convpolicy as cp\n" + hook(
        "if 'child' in sys.argv: return []\n    def fork():\n        if os.fork() == 0:\n            sys.argv.append('child')\n"
        "            os._exit(0 if 'causal' in cp.padding_rules() else 1)\n        sys.argv.append(os.wait()[1])\n"
        "    thread = threading.Thread(target=fork)\n    thread.start()\n    thread.join()\n    return []"
    )
    install("forking", source)
    assert python(tmp_path, "import sys, convpolicy as cp\ncp.plugins()\nprint(sys.argv[1:])").stdout == "[0]\n"
