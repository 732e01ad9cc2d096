"""Runs one action written in Python; the first process of its sandbox.

    python -I -X utf8 run.py actions/forecast.py [function]

The document on stdin is {"secrets": {}, "parameters": {}, "execution": {"id", "action", "attempt", "env"}}. Secrets stay
in memory: they are never put into the environment, the arguments or a file. Python 3.9 or newer.

All that does not need the document is done before it is read: a sandbox may wait for it long before its execution exists.
"""

import atexit
import errno
import json
import os
import signal
import sys
from types import CodeType, ModuleType

RESULT = os.environ.get("ATTUNE_RESULT", "/run/attune/result")
FAILURE = os.environ.get("ATTUNE_FAILURE", "/run/attune/failure")

# What the host keeps of a failure; a recursion error alone can be larger than that.
MAX_ERROR, MAX_TRACEBACK = 8 << 10, 48 << 10


# The variables that only a document tells, and its keys for them.
PER_EXECUTION = {"ATTUNE_EXECUTION_ID": "id", "ATTUNE_ACTION_REF": "action", "ATTUNE_ATTEMPT": "attempt"}


class InvalidResult(Exception):
    """The action returned something that JSON cannot express."""


class Action:
    """The action's file. What of it does not need the execution is done before there is one."""

    def __init__(self, path, function):
        self.path = os.path.abspath(path)
        self.function = function
        self.executed = False

    def load(self):
        """Compiles the file, and executes as much of it as cannot ask which execution it is for."""
        with open(self.path, "rb") as file:
            text = file.read()
        tree = compile(text, self.path, "exec", flags=0x400, dont_inherit=True)  # 0x400: the syntax tree
        # A file with a function to call is a module, so its `if __name__ == "__main__":` belongs to other uses of it.
        # A file without one is a script, and there the same line is where it starts.
        offered = set(defined_names(tree.body)) & {self.function or "run", "main"}
        self.code = compile(tree, self.path, "exec", dont_inherit=True)
        self.module = self.new_module(script=not offered)
        if offered and independent(text, self.code):
            self.execute()
        else:
            import_leading(tree.body)
        if any(type(node).__name__ == "AsyncFunctionDef" for node in tree.body):
            import asyncio  # noqa: F401  # takes 50 ms, and settle is about to need it

    def execute(self):
        self.executed = True
        exec(self.code, self.module.__dict__)

    def run(self, parameters, secrets):
        """Executes what is left of the file, and calls the function it offers, where it offers one."""
        self.module.parameters, self.module.secrets = parameters, secrets
        if not self.executed:
            self.execute()
        return self.call(self.module, parameters, secrets)

    def new_module(self, script):
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


def independent(text, code):
    """Reports whether a file neither uses the globals nor mentions the variables that belong to one execution."""

    def names(code):
        yield from code.co_names
        for const in code.co_consts:
            if isinstance(const, CodeType):
                yield from names(const)

    return {"parameters", "secrets"}.isdisjoint(names(code)) and not any(v.encode() in text for v in PER_EXECUTION)


def import_leading(body):
    """Imports what the file imports before it does anything else, up to the first module of the pack itself."""
    import importlib.util

    for node in body:
        kind = type(node).__name__
        if kind == "Expr" and type(node.value).__name__ == "Constant":
            continue  # the file's own documentation
        if kind == "Import":
            wanted = [alias.name for alias in node.names]
        elif kind == "ImportFrom" and node.level == 0:
            wanted = [node.module]
        else:
            return
        for name in wanted:
            try:
                origin = importlib.util.find_spec(name.partition(".")[0]).origin
                if origin is None or origin.startswith((os.getcwd() + os.sep, os.path.dirname(sys.argv[0]) + os.sep)):
                    return
                importlib.import_module(name)
            except Exception:  # the file itself is about to meet it, and may expect it
                return


def settle(value):
    """Returns the value itself, or what it comes to when it can be awaited."""
    if not hasattr(value, "__await__"):
        return value
    import asyncio  # not at the top: actions that are not asynchronous need not wait for it

    async def wait():
        return await value

    return asyncio.run(wait())


def take_stdin():
    """Returns the stream of the document. The action finds an empty stdin, and so does what it starts."""
    stream = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return stream


def read_document(stream):
    with stream:
        return json.loads(stream.read())


def set_environment(execution):
    os.environ.update(execution.get("env") or {})
    for variable, key in PER_EXECUTION.items():
        os.environ[variable] = str(execution.get(key, ""))


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
    """Writes the exception to the failure file, and its traceback to stderr."""
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
    """Reports whether the action has no space left: an exception says so, or /tmp or the folder of its output is full."""
    for _ in range(16):  # a chain of causes may be a ring
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return True
        error = error and (error.__cause__ or error.__context__)
    left = [os.statvfs(folder) for folder in ("/tmp", os.path.dirname(FAILURE))]
    return any(of.f_bavail == 0 or of.f_ffree == 0 for of in left)


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
    stdin, early = take_stdin(), None
    try:
        action.load()
    except BaseException as error:  # it belongs to the execution that gets this sandbox
        early = error
    document = read_document(stdin)
    set_environment(document.get("execution") or {})
    try:
        if early is not None:
            raise early
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
    for step in (atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):
        try:
            step()
        except BaseException as problem:
            print(f"while ending: {problem!r}", file=sys.stderr, flush=True)
    # Not sys.exit: it would wait for every thread that the action left behind.
    os._exit(status)
