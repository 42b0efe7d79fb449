"""The command line: quick help, one-line errors, exit code 2."""

import errno
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mammo_tf.cli import main as cli_main
from mammo_tf.cli.main import cli, main
from mammo_tf.errors import UserError
from mammo_tf.found import recipes

HEAVY = ("tensorflow", "keras", "numpy", "scipy", "sklearn", "pydicom", "glymur", "matplotlib")
COMMANDS = [
    [],
    ["audit"],
    ["cigan"],
    ["cigan", "train"],
    ["cigan", "synthesize"],
    ["codec"],
    ["codec", "measure"],
    ["compare"],
    ["data"],
    ["data", "build"],
    ["doctor"],
    ["export"],
    ["phantom"],
    ["phantom", "ncc"],
    ["predict"],
    ["recipe"],
    ["recipe", "list"],
    ["recipe", "cigan"],
    ["recipe", "glam"],
    ["recipe", "compression"],
    ["recipe", "mias"],
    ["weights"],
    ["weights", "list"],
    ["weights", "fetch"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_teaches(command):
    result = CliRunner().invoke(cli, [*command, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output
    assert len(result.output.splitlines()) > 5


def test_help_of_everything_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from mammo_tf.cli.main import cli\n"
        f"for command in {COMMANDS!r}:\n"
        "    assert CliRunner().invoke(cli, [*command, '--help']).exit_code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("`cratios` must be\n  at least 1."), "Error: `cratios` must be at least 1."),
        (OSError(errno.ENOSPC, "x", "runs/a"), "Error: No space left on the disk; free some"),
    ],
)
def test_a_user_s_mistake_is_one_line_and_exit_code_2(monkeypatch, capsys, error, line):
    def broken(**_options):
        raise error

    monkeypatch.setattr(cli_main, "cli", broken)
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith(line)
    assert said.count("\n") == 1


def test_our_own_faults_keep_their_traceback(monkeypatch):
    def broken(**_options):
        raise KeyError("ours")

    monkeypatch.setattr(cli_main, "cli", broken)
    with pytest.raises(KeyError):
        main()


def test_recipe_list_as_json():
    result = CliRunner().invoke(cli, ["recipe", "list", "--json"])
    assert "compression" in json.loads(result.stdout)


def test_show_config_gives_what_would_run():
    arguments = ["recipe", "compression", "--show-config", "--dataset", "mini_mias", "--folds", "3"]
    result = CliRunner().invoke(cli, [*arguments, "--set", "training.batch_size=7"])
    shown = json.loads(result.stdout)
    assert (shown["dataset"], shown["task"]) == ("mini_mias", "lesion")
    assert (shown["split"]["num_folds"], shown["training"]["batch_size"]) == (3, 7)


@pytest.mark.parametrize("recipe", sorted(recipes()))
def test_show_config_and_help_of_a_recipe_wait_for_no_network(recipe):
    heavy = ["keras", "tensorflow", "tensorflow_datasets", "sklearn", "matplotlib", "pydicom"]
    code = (
        "import sys\n"
        "from mammo_tf.cli.main import cli\n"
        f"for last in ('--show-config', '--help'):\n"
        f"    cli(['recipe', {recipe!r}, last], standalone_mode=False)\n"
        f"sys.exit(' '.join(name for name in {heavy} if name in sys.modules) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--crs", "one,two"], "Compression ratios are numbers"),
        (["--cratios", "1,nan"], "Received: nan"),
        (["--cratios", "0,1"], "must be from 1 (lossless)"),
        (["--cratios", "15,15"], "must be different"),
        (["--dataset", "inbreast"], "'inbreast' is not one of"),
        (["--model", "cnn4"], "'cnn4' is not one of"),
        (["--folds", "some"], "expected a number, or official. Received: 'some'"),
        (["--preset", "tiny"], "'tiny' is not one of"),
        (["--fold", "3"], "Did you mean one of: '--folds'"),
        (["--set", "training.epoch=3"], "Did you mean training.epochs or"),
        (["--set", "trainin.epochs=3"], "Did you mean training.epochs or"),
    ],
)
def test_impossible_options_exit_2(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mammo-tf", "recipe", "compression", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert message in said.err
    assert not said.out


def test_a_mistyped_command_is_answered_with_the_near_ones():
    result = CliRunner().invoke(cli, ["recipe", "compresion"])
    assert result.exit_code == 2
    assert "No such command 'compresion'. Did you mean compression?" in result.stderr
    assert "Did you mean" not in CliRunner().invoke(cli, ["recipe", "xyz"]).stderr


def test_a_shell_completes_commands_of_recipes(monkeypatch):
    monkeypatch.setenv("COMP_WORDS", "mammo-tf recipe com")
    monkeypatch.setenv("COMP_CWORD", "2")
    result = CliRunner().invoke(
        cli, prog_name="mammo-tf", env={"_MAMMO_TF_COMPLETE": "bash_complete"}
    )
    assert result.stdout == "plain,compression\n"


def test_one_epoch_needs_no_second_setting():
    for arguments in (
        ["compression", "--dataset", "mini_mias", "--set", "training.epochs=1"],
        ["mias", "--set", "classify.training.epochs=1", "--set", "detect.training.epochs=1"],
    ):
        result = CliRunner().invoke(cli, ["recipe", *arguments, "--show-config"])
        assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_the_doctor_finds_a_working_set_up():
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    findings = json.loads(result.stdout)
    assert result.exit_code == 0, findings["problems"]
    assert findings["openjpeg"]["version"].startswith("2.")
    assert all(findings["decoders"].values())
    assert "CPU" in findings["devices"]
