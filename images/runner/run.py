"""Runs one action written in Python; the first process of its sandbox.

    python -I -X utf8 run.py actions/forecast.py [function]

The document on stdin is {"secrets": {}, "parameters": {}, "execution": {"id", "action", "attempt", "env"}}. Secrets stay
in memory: they are never put into the environment, the arguments or a file. Python 3.9 or newer.
"""

import atexit
import errno
import json
import os
import signal
import sys
from types import ModuleType

RESULT = os.environ.get("ATTUNE_RESULT", "/run/attune/result")
FAILURE = os.environ.get("ATTUNE_FAILURE", "/run/attune/failure")

# What the host keeps of a failure; a recursion error alone can be larger than that.
MAX_ERROR, MAX_TRACEBACK = 8 << 10, 48 << 10


class InvalidResult(Exception):
    """The action returned something that JSON cannot express."""


class Action:
    """The action's file, before it has been executed."""

    def __init__(self, path, function):
        self.path = os.path.abspath(path)
        self.function = function

    def run(self, parameters, secrets):
        """Executes the file, once, and calls the function it offers, where it offers one."""
        with open(self.path, "rb") as file:
            tree = compile(file.read(), self.path, "exec", flags=0x400, dont_inherit=True)  # 0x400: the syntax tree
        # A file with a function to call is a module, so its `if __name__ == "__main__":` belongs to other uses of it.
        # A file without one is a script, and there the same line is where it starts.
        offered = set(defined_names(tree.body)) & {self.function or "run", "main"}
        module = self.module(script=not offered)
        module.parameters, module.secrets = parameters, secrets
        exec(compile(tree, self.path, "exec", dont_inherit=True), module.__dict__)
        return self.call(module, parameters, secrets)

    def module(self, script):
        name = os.path.splitext(os.path.basename(self.path))[0]
        if script:
            name = "__main__"
        elif name in sys.modules or not name.isidentifier():
            name = "attune_action"  # never in the place of a module that others rely on
        module = ModuleType(name)
        module.__file__ = self.path
        # Pickle and dataclasses look a class up by the name of its module.
        sys.modules[name] = module
        return module

    def call(self, module, parameters, secrets):
        if self.function:
            named = getattr(module, self.function, None)
            if not callable(named):
                raise AttributeError(f"{os.path.relpath(self.path)} has no function {self.function}")
            return settle(named(**parameters))
        for name in ("run", "main"):
            function = getattr(module, name, None)
            if callable(function):
                return settle(function(parameters=parameters, secrets=secrets))
        return None


def defined_names(body):
    """Yields the names that statements at the top level of a file define."""
    for node in body:
        kind = type(node).__name__
        if kind in ("FunctionDef", "AsyncFunctionDef", "ClassDef"):
            yield node.name
        elif kind in ("Import", "ImportFrom"):
            yield from (alias.asname or alias.name for alias in node.names)
        elif kind == "Assign":
            yield from (target.id for target in node.targets if hasattr(target, "id"))
        elif kind == "Try":
            yield from defined_names(node.body)


def settle(value):
    """Returns the value itself, or what it comes to when it can be awaited."""
    if not hasattr(value, "__await__"):
        return value
    import asyncio  # takes 50 ms, which actions that are not asynchronous need not wait for

    async def wait():
        return await value

    return asyncio.run(wait())


def read_document():
    document = json.loads(sys.stdin.buffer.read())
    # The action finds an empty stdin, not the end of ours.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return document


def set_environment(execution):
    os.environ.update(execution.get("env") or {})
    os.environ["ATTUNE_EXECUTION_ID"] = str(execution.get("id", ""))
    os.environ["ATTUNE_ACTION_REF"] = str(execution.get("action", ""))
    os.environ["ATTUNE_ATTEMPT"] = str(execution.get("attempt", ""))


def write_result(value):
    """None is no result, and leaves the file empty."""
    if value is None:
        return
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidResult(f"the action's return value is not JSON: {error}") from None
    with open(RESULT, "w", encoding="ascii") as file:
        file.write(text)


def report(error):
    """Writes the exception for the record, and its traceback for whoever reads stderr."""
    import traceback

    kind = type(error)
    lines = traceback.format_exception(kind, error, action_frames(error.__traceback__))
    text = "".join(lines)
    sys.stderr.write(text)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", __name__):
        name = f"{kind.__module__}.{name}"
    failure = {"error": str(error)[:MAX_ERROR], "error_type": name, "traceback": text[-MAX_TRACEBACK:]}
    if disk_full(error):
        failure["disk_full"] = True
    write_failure(failure)


def write_failure(failure):
    with open(FAILURE, "w", encoding="ascii") as file:
        json.dump(failure, file)


def disk_full(error=None):
    """Tells whether /tmp ran full: an exception says so, or there is nothing left of it."""
    for _ in range(16):  # a chain of causes may be a ring
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return True
        error = error and (error.__cause__ or error.__context__)
    left = os.statvfs("/tmp")
    return left.f_bavail == 0 or left.f_ffree == 0


def action_frames(frames):
    """Drops the frames of this file, and of the event loop between it and the action."""
    own = (__file__, os.path.join(os.path.dirname(os.__file__), "asyncio", ""))
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(own):
        frames = frames.tb_next
    return frames


def exit_status(code):
    """What a status means that was given to sys.exit."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def terminate(_signal, _frame):
    # The kernel withholds SIGTERM from the first process of a sandbox unless it asks for it. As an exception it lets
    # the action's own clean-up run.
    raise SystemExit(128 + signal.SIGTERM)


def main():
    signal.signal(signal.SIGTERM, terminate)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    action = Action(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
    sys.argv = [action.path]
    sys.path[:0] = [os.path.dirname(action.path), os.getcwd()]
    document = read_document()
    set_environment(document.get("execution") or {})
    try:
        write_result(action.run(document.get("parameters") or {}, document.get("secrets") or {}))
    except SystemExit as end:
        status = exit_status(end.code)
        if status != 0 and disk_full():
            write_failure({"disk_full": True})
        return status
    except BaseException as error:  # whatever it is, it belongs into the record
        report(error)
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as problem:
        print(f"while ending: {problem!r}", file=sys.stderr, flush=True)
    # Not sys.exit: it would wait for every thread that the action left behind.
    os._exit(status)
