"""The process that decodes: what kills or stops it costs one message, and it leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from isolated_decoders import decode

from rtma_diffda.errors import InputError
from rtma_diffda.io import isolated
from rtma_diffda.io.isolated import Isolation, Limits


def outcomes(isolation, contents):
    found = []
    for content in contents:
        try:
            found.append(isolation.decode(decode, content, ("!",)).decode())
        except InputError as error:
            found.append(str(error))
    return found


def children():
    """Process numbers of our children, those ended and not waited for included."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = status.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == os.getpid():
            found.add(int(status.parent.name))
    return found


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (b"abort", "ecCodes crashed on this message (its process was ended by signal 6, Aborted)"),
        (b"segfault", "signal 11, Segmentation fault"),
        (b"exit", "ended with status 3"),
        (b"raise", "ValueError: no sense in it"),
    ],
)
def test_what_ends_the_process_costs_one_message_and_the_order_stays(bad, told):
    first, second, third, fourth = outcomes(Isolation(), [b"one", bad, b"three", b"four"])
    assert (first, third, fourth) == ("one!", "three!", "four!")
    assert told in second


def test_a_hang_is_cut():
    limits = Limits(seconds=1.0)
    first, second, third = outcomes(Isolation(limits), [b"one", b"hang", b"three"])
    assert (first, third) == ("one!", "three!")
    assert second == "decoding this message took longer than 1 s"


def test_a_hang_is_cut_even_where_the_alarm_was_blocked_and_ignored():
    kept = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        isolated._close_idle()
        (told,) = outcomes(Isolation(Limits(seconds=0.3)), [b"hang"])
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        signal.signal(signal.SIGALRM, kept)
    assert "took longer" in told


def test_a_sound_message_that_dies_of_an_earlier_one_is_decoded_after_all():
    assert outcomes(Isolation(), [b"one", b"upset by another", b"three"]) == ["one!", "upset by another!", "three!"]


def test_after_too_many_crashes_or_hangs_the_rest_is_refused():
    isolation = Isolation(Limits(crashes=2))
    found = outcomes(isolation, [b"abort", b"one", b"abort", b"two", b"three"])
    assert (found[1], isolation.crashes) == ("one!", 2)
    assert found[3:] == ["not decoded, because ecCodes crashed on 2 messages before it"] * 2
    found = outcomes(Isolation(Limits(seconds=0.2, timeouts=1)), [b"hang", b"one"])
    assert found[1] == "not decoded, because 1 messages before it took too long"
    assert outcomes(Isolation(), [b"one"]) == ["one!"]  # the next file starts anew


def test_the_process_is_used_again_and_ends_where_it_crashed():
    first, again, _, other = outcomes(Isolation(), [b"process", b"process", b"abort", b"process"])
    assert first == again != other
    assert int(first) not in children()
    isolated._close_idle()
    assert not {int(first), int(other)} & children()


def test_noise_on_its_output_and_long_answers_do_not_matter():
    isolation = Isolation()
    assert outcomes(isolation, [b"noise", b"one"]) == ["noise!", "one!"]
    assert isolation.decode(decode, b"big") == bytes(3_000_000)
    assert isolation.decode(decode, bytes(3_000_000), ("end",)) == bytes(3_000_000) + b"end"


def test_threads_get_their_own_answers():
    isolation, found = Isolation(), {}

    def work(name):
        found[name] = outcomes(isolation, [f"{name} {i}".encode() for i in range(50)])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: [f"{name} {i}!" for i in range(50)] for name in "abc"}


def test_a_process_that_cannot_start_is_told(monkeypatch):
    isolated._close_idle()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(InputError, match="cannot be started with '/nowhere/python'"):
        Isolation().decode(decode, b"one")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(InputError, match="does not start: it ended with status 1"):
        Isolation().decode(decode, b"one")


SCRIPT = """
import os, signal, sys
sys.path.append({tests!r})
from isolated_decoders import decode
from rtma_diffda.io.isolated import Isolation
from rtma_diffda.errors import InputError
isolation = Isolation()
{body}
"""


def run_script(body, tmp_path, **options):
    """Run in a directory of its own, which must be empty afterwards but for a trap that no import may fall into."""
    (tmp_path / "json.py").write_text("raise RuntimeError('a file of the current directory was imported')")
    script = SCRIPT.format(tests=str(Path(__file__).parent), body=body)
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["json.py"]
    return done


def test_without_standard_streams_in_another_directory(tmp_path):
    body = "os.close(0); os.close(2); print(isolation.decode(decode, b'one').decode())"
    done = run_script(body, tmp_path)
    assert (done.returncode, done.stdout) == (0, "one\n")


def test_an_interrupt_ends_the_process_that_decodes(tmp_path):
    body = """
import threading
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
process = int(isolation.decode(decode, b"process"))
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    isolation.decode(decode, b"hang")
except KeyboardInterrupt:
    print("interrupted", Path(f"/proc/{process}").exists())
print(isolation.decode(decode, b"one").decode())
"""
    done = run_script(body, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted False\none\n", "")


def test_it_ends_with_its_parent_whichever_way_that_ends(tmp_path):
    for body in ("", "; os.kill(os.getpid(), signal.SIGKILL)"):
        done = run_script("print(isolation.decode(decode, b'process').decode(), flush=True)" + body, tmp_path)
        process = Path(f"/proc/{int(done.stdout)}")
        for _ in range(100):
            if not process.exists() or ") Z" in (process / "stat").read_text():
                break
            threading.Event().wait(0.05)
        else:
            pytest.fail(f"process {process.name} outlives its parent")


def test_a_forked_process_starts_its_own(tmp_path):
    body = """
mine = isolation.decode(decode, b"process")
if os.fork() == 0:
    print(isolation.decode(decode, b"process") != mine, flush=True)
    os._exit(0)
os.wait()
print(isolation.decode(decode, b"process") == mine)
"""
    assert run_script(body, tmp_path).stdout == "True\nTrue\n"
