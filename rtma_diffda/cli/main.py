"""``rtma-diffda VERB [key=value …]``: the entry point, its help and its exit statuses."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rtma_diffda import __version__
from rtma_diffda.cli.configuration import compose_settings, expand_sweep, show_settings
from rtma_diffda.cli.logs import configure_logging
from rtma_diffda.cli.verbs import VERBS, Verb
from rtma_diffda.errors import RtmaDiffdaError, UsageError
from rtma_diffda.resources import resource_directory

EXIT_STATUSES = """\
exit status:
  0    done
  1    unexpected error
  2    wrong use or configuration
  3    input missing or rejected
  4    degraded result published (a fallback was used)
  5    verification gate failed
  130  interrupted"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """A command line taken apart."""

    verb: Verb
    overrides: tuple[str, ...]
    config_name: str
    wants_help: bool = False
    wants_config: bool = False
    resolve: bool = False
    multirun: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _attempt(lambda: _run(arguments))
    except KeyboardInterrupt:
        print("rtma-diffda: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        sys.stderr.close()
        return 0


def _attempt(action: Callable[[], int]) -> int:
    """The exit status of an action, with its failure told in a sentence; an interrupt ends all jobs of a sweep."""
    try:
        return action()
    except RtmaDiffdaError as error:
        print(f"rtma-diffda: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        raise
    except Exception:
        _log.exception("unexpected error; please report it with this traceback")
        return 1


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"rtma-diffda {__version__}")
        return 0
    call = parse_call(arguments)
    if call.wants_help:
        print(help_of(call.verb))
        return 0
    if call.wants_config:
        print(show_settings(call.config_name, call.overrides, resolve=call.resolve), end="")
        return 0
    if not call.multirun:
        return _run_job(call, list(call.overrides))
    jobs = expand_sweep(call.overrides)
    return max(_attempt(lambda n=n, job=job: _run_job(call, job, number=n)) for n, job in enumerate(jobs))


def _run_job(call: Call, overrides: list[str], *, number: int | None = None) -> int:
    """One job; of a sweep, its number keeps its output apart from the others'."""
    settings = compose_settings(call.config_name, overrides)
    if number is not None and settings.get("output"):
        settings["output"] = f"{settings['output']}/{number}"
    log = settings.pop("log", {})
    configure_logging(level=str(log.get("level", "info")), form=str(log.get("format", "text")))
    call.verb.run(settings)
    return 0


def parse_call(arguments: Sequence[str]) -> Call:
    """Take a command line apart.

    Raises:
        UsageError: the verb or an option is unknown.
    """
    name, *rest = arguments
    if name not in VERBS:
        raise UsageError(f"unknown verb '{name}'; known are {', '.join(VERBS)} (see rtma-diffda --help)")
    verb = VERBS[name]
    found: dict[str, object] = {"config_name": verb.name}
    overrides: list[str] = []
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            found["wants_help"] = True
        elif word in ("--resolve", "--multirun"):
            found[word[2:]] = True
        elif word in ("--cfg", "--config-name"):
            _take_value(word, rest, found)
        elif word in verb.flags:
            overrides.append(verb.flags[word])
        elif word.partition("=")[0] in verb.options:
            overrides.append(_option(verb, word, rest))
        elif word.startswith("-") and "=" not in word:
            raise UsageError(f"unknown option '{word}'; known are {', '.join(_known(verb))}")
        elif "=" not in word and verb.positional and not word.startswith("~"):
            overrides.append(f"{verb.positional}={word}")
        else:
            overrides.append(word)
    return Call(verb, tuple(overrides), **found)


def _option(verb: Verb, word: str, rest: list[str]) -> str:
    """The override that ``--option value`` or ``--option=value`` stands for."""
    name, equals, value = word.partition("=")
    if not equals and not rest:
        raise UsageError(f"option {name} needs a value")
    return f"{verb.options[name]}={value if equals else rest.pop(0)}"


def _known(verb: Verb) -> list[str]:
    return ["--help", "--cfg job", "--resolve", "--multirun", *verb.flags, *verb.options]


def _take_value(option: str, rest: list[str], found: dict[str, object]) -> None:
    if not rest:
        raise UsageError(f"option {option} needs a value")
    value = rest.pop(0)
    if option == "--config-name":
        found["config_name"] = value
    elif value == "job":
        found["wants_config"] = True
    else:
        raise UsageError(f"--cfg takes 'job', not '{value}'")


def overview() -> str:
    """What ``--help`` prints without a verb."""
    rows = "\n".join(f"  {verb.name:<9} {verb.summary}" for verb in VERBS.values())
    return (
        f"rtma-diffda {__version__}: weather analyses from station reports and a background\n\n"
        f"usage: rtma-diffda VERB [key=value …] [--cfg job [--resolve]] [--multirun] [--help]\n\n{rows}\n\n"
        f"rtma-diffda VERB --help lists a verb's settings.\n\n{EXIT_STATUSES}"
    )


def help_of(verb: Verb) -> str:
    """What ``VERB --help`` prints: its settings are its commented configuration file."""
    directory = resource_directory("conf")
    text = (directory / f"{verb.name}.yaml").read_text(encoding="utf-8").rstrip()
    groups = [
        f"  {group.name}= {', '.join(sorted(path.stem for path in group.glob('*.yaml')))}"
        for group in sorted(directory.iterdir())
        if group.is_dir() and f"- {group.name}:" in text
    ]
    chosen = "\n\ngroups:\n" + "\n".join(groups) if groups else ""
    place = f" [{verb.positional}]" if verb.positional else ""
    return (
        f"usage: rtma-diffda {verb.name}{place} [key=value …]\n\n{verb.summary}\n\nsettings, with their defaults "
        f"(??? must be given):\n\n{text}{chosen}\n\n{EXIT_STATUSES}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
