"""Ctrl-C: never lost, one line, exit code 130; workers leave it to their parent."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from mammo_tf import interrupt


@pytest.fixture
def watched():
    before = signal.getsignal(signal.SIGINT)
    interrupt.watch()
    yield
    interrupt._asked.clear()
    signal.signal(signal.SIGINT, before)


class _Deaf:
    """Python prints what a destructor raises and goes on."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_ctrl_c_lost_in_a_destructor_is_raised_at_the_next_check(watched):
    deaf = _Deaf()
    del deaf
    with pytest.raises(KeyboardInterrupt):
        interrupt.check()
    interrupt.check()  # once


def test_without_ctrl_c_a_check_does_nothing(watched):
    interrupt.check()


def run_python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )


def test_the_command_says_that_it_goes_on_and_exits_130():
    done = run_python("""
        import os, signal, sys, click
        from mammo_tf.cli import main

        @main.cli.command()
        def wait():
            os.kill(os.getpid(), signal.SIGINT)

        sys.argv = ["mammo-tf", "wait"]
        main.main()
    """)
    assert done.returncode == 130
    assert done.stderr.strip() == "Stopped. The same command goes on where it was."


def test_a_worker_leaves_ctrl_c_to_its_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import os, signal
            from mammo_tf.parallel import imap_bounded

            def interrupted(number):
                os.kill(os.getpid(), signal.SIGINT)
                return number

            if __name__ == "__main__":
                print(list(imap_bounded(interrupted, range(4), workers=2)))
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[0, 1, 2, 3]"
    assert "KeyboardInterrupt" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["no-such-command"], 2, "No such command"),
        (["codec", "measure", "absent.dcm"], 2, "does not exist"),
        (["--version"], 0, ""),
    ],
)
def test_click_s_own_messages_and_codes_are_kept(arguments, code, text):
    done = run_python(f"""
        import sys
        from mammo_tf.cli import main

        sys.argv = ["mammo-tf", *{arguments!r}]
        main.main()
    """)
    assert done.returncode == code
    assert text in done.stderr


@pytest.mark.parametrize("chained", [True, False])
def test_a_full_disk_that_a_library_hides_is_still_one_line(chained):
    done = run_python(f"""
        import errno, sys
        from mammo_tf.cli import main

        @main.cli.command()
        def write():
            try:
                raise OSError(errno.EFBIG, "File too large", "film.dcm")
            except OSError as error:
                raise OSError(f"cannot write: {{error}}") from (error if {chained} else None)

        sys.argv = ["mammo-tf", "write"]
        main.main()
    """)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: A file would become larger")
    assert done.stderr.count("\n") == 1
