"""Runs one action written in Python.

    python -I -X utf8 run.py [--preload=pandas ...] actions/forecast.py [function]
    python -I -X utf8 run.py --check [--preload=pandas ...] actions/forecast.py[:function] ...

The document on stdin is {"secrets": {}, "parameters": {}, "execution": {"id", "action", "attempt", "env"}}. Secrets stay
in memory: they are never put into the environment, the arguments or a file. Python 3.9 or newer.

A sandbox may wait for its document long before its execution exists. Until then nothing of the pack runs, but for what
the action names under preload.
"""

import _ast
import atexit
import errno
import json
import os
import signal
import sys
import threading
import traceback
from importlib.machinery import PathFinder
from types import ModuleType

RESULT = os.environ.get("ATTUNE_RESULT", "/run/attune/result")
FAILURE = os.environ.get("ATTUNE_FAILURE", "/run/attune/failure")

# What the host keeps of a failure; a recursion error alone can be larger than that.
MAX_ERROR, MAX_TRACEBACK = 8 << 10, 48 << 10


# The variables that only a document tells, and its keys for them.
PER_EXECUTION = {"ATTUNE_EXECUTION_ID": "id", "ATTUNE_ACTION_REF": "action", "ATTUNE_ATTEMPT": "attempt"}

PRELOAD = "--preload="

ONLY_COMPILE = 0x400  # of compile: return the syntax tree

# The functions that are called where the entry point names none, the first of them first.
ENTRIES = ("run", "main")

# What defines a function, and the other statements that do no work of their own.
DEFINITION = (_ast.FunctionDef, _ast.AsyncFunctionDef, _ast.Lambda)
IDLE = (_ast.Import, _ast.ImportFrom, _ast.FunctionDef, _ast.AsyncFunctionDef, _ast.ClassDef, _ast.Pass)


class InvalidResult(Exception):
    """The action returned something that JSON cannot express."""


class NotCallable(Exception):
    """The action's file has a function of the right name that cannot be called, and does nothing else."""


class Action:
    """The action's file."""

    def __init__(self, path, function):
        self.path = os.path.abspath(path)
        self.function = function

    def run(self, parameters, secrets):
        """Executes the file, and calls the function it offers, where it offers one."""
        with open(self.path, "rb") as file:
            text = file.read()
        tree = compile(text, self.path, "exec", flags=ONLY_COMPILE, dont_inherit=True)
        offered = self.function or entry(tree, os.path.relpath(self.path))
        # A file with a function to call is a module, so its `if __name__ == "__main__":` belongs to other uses of it.
        # A file without one is a script, and there the same line is where it starts.
        module = self.new_module(script=not offered)
        module.parameters, module.secrets = parameters, secrets
        exec(compile(tree, self.path, "exec", dont_inherit=True), module.__dict__)
        if self.function:
            named = getattr(module, self.function, None)
            if not callable(named):
                raise AttributeError(f"{os.path.relpath(self.path)} has no function {self.function}")
            return settle(named(**parameters))
        if offered:
            return settle(getattr(module, offered)(parameters=parameters, secrets=secrets))
        return None

    def new_module(self, script):
        # Pickle and dataclasses look a class up by the name of its module, and so do processes that are spawned: they
        # import it again.
        name = "__main__" if script else os.path.splitext(os.path.basename(self.path))[0]
        if not script and hidden(self.path, name):
            # Never in the place of a module that others rely on.
            name = os.path.relpath(os.path.splitext(self.path)[0]).replace(os.sep, ".")
        module = ModuleType(name)
        module.__file__ = self.path
        sys.modules[name] = module
        return module


def hidden(path, name):
    """Reports whether importing a name finds another module than the file at a path."""
    if name in sys.modules or name in sys.builtin_module_names:
        return True
    found = PathFinder.find_spec(name)
    return found is not None and found.origin != path


def entry(tree, path):
    """Returns the name of the function to call, which the file itself defines: run, or else main. A file without one is
    a script, and its entry is None.

    Raises NotCallable where the file defines such a function with other arguments, and would do nothing as a script.
    """
    defined = functions(tree)
    for name in ENTRIES:
        if name in defined and takes_input(defined[name].args):
            return name
    name = misfit(tree)
    if name and not works(tree):
        raise NotCallable(
            f"{path}:{defined[name].lineno}: {name}() is called with the keywords parameters and secrets, and does not "
            f"take them: write def {name}(parameters, secrets), or name it as the entry point, "
            f"{os.path.basename(path)}:{name}, to be called with each parameter by its name"
        )
    return None


def misfit(tree):
    """Returns the name of a function that would be called if it took parameters and secrets."""
    return next((name for name in ENTRIES if name in functions(tree)), None)


def statements(body):
    """Yields the statements that a file executes in its own scope, with those inside of conditions."""
    left = body[::-1]
    while left:
        node = left.pop()
        if isinstance(node, (_ast.If, _ast.Try, _ast.ExceptHandler)):
            handlers, finals = getattr(node, "handlers", []), getattr(node, "finalbody", [])
            left += (node.body + handlers + getattr(node, "orelse", []) + finals)[::-1]
        else:
            yield node


def functions(tree):
    """Returns the functions that a file defines, by their names."""
    found = {}
    for node in statements(tree.body):
        if isinstance(node, (_ast.FunctionDef, _ast.AsyncFunctionDef)):
            found[node.name] = node
        elif isinstance(node, _ast.Assign):
            value = found.get(node.value.id) if isinstance(node.value, _ast.Name) else node.value
            for target in node.targets:
                if isinstance(target, _ast.Name) and isinstance(value, DEFINITION):
                    found[target.id] = value
    return found


def works(tree):
    """Reports whether executing a file does more than to define things. To set a variable is no work, but where a
    function of the file itself is called for it."""
    own = functions(tree)
    for node in statements(tree.body):
        if isinstance(node, (_ast.Assign, _ast.AnnAssign)):
            if any(isinstance(call.func, _ast.Name) and call.func.id in own for call in calls(node)):
                return True
        elif not isinstance(node, IDLE) and not constant(node):
            return True
    return False


def calls(node):
    left = [node]
    while left:
        node = left.pop()
        if isinstance(node, _ast.Call):
            yield node
        for field in node._fields:
            value = getattr(node, field, None)
            left += [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, _ast.AST)]


def constant(node):
    """Reports whether a statement is a constant, such as the text that describes a file."""
    return isinstance(node, _ast.Expr) and isinstance(node.value, _ast.Constant)


def takes_input(arguments):
    """Reports whether a function can be called with the keywords parameters and secrets, and nothing else."""
    positional = arguments.args
    required = positional[: len(positional) - len(arguments.defaults)]
    required += [a for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults) if default is None]
    wanted = {"parameters", "secrets"}
    names = {a.arg for a in positional + arguments.kwonlyargs}
    only_positional = len(arguments.posonlyargs) - max(0, len(arguments.defaults) - len(positional))
    return only_positional <= 0 and {a.arg for a in required} <= wanted and (bool(arguments.kwarg) or wanted <= names)


def check(arguments):
    """Prints what is wrong with each action, and what its author should know. Returns the exit status.

    An action is the path of its file, with a colon and the function where one is named, behind what it preloads.
    """
    status, names = 0, []
    for argument in arguments:
        if argument.startswith(PRELOAD):
            names.append(argument[len(PRELOAD) :])
            continue
        path, _, function = argument.partition(":")
        for remark in remarks(path, function, names):
            print(remark)
            if not remark.startswith("note: "):
                status = 1
        names = []
    return status


def remarks(path, function, names):
    own = os.path.splitext(os.path.basename(path))[0]
    if own.isidentifier() and hidden(os.path.abspath(path), own):
        yield f"note: {path}: import {own} finds another module, of Python or of a dependency, and not this file"
    folders = sys.path + [os.path.dirname(path), os.getcwd()]
    for name in names:
        top = name.partition(".")[0]
        if top and top not in sys.builtin_module_names and PathFinder.find_spec(top, folders) is None:
            yield f"{path}: preload: there is no module {name}"
    try:
        with open(path, "rb") as file:
            tree = compile(file.read(), path, "exec", flags=ONLY_COMPILE, dont_inherit=True)
        compile(tree, path, "exec", dont_inherit=True)
        if function or entry(tree, path):
            return
        name = misfit(tree)
        if name:
            yield (
                f"note: {path}:{functions(tree)[name].lineno}: {name}() does not take parameters and secrets, so it "
                "is not called: the file is run as a script"
            )
    except NotCallable as problem:
        yield str(problem)
    except SyntaxError as problem:
        yield f"{path}:{problem.lineno}: {problem.msg}"
    except (ValueError, RecursionError, MemoryError) as problem:
        yield f"{path}: cannot be read: {problem or type(problem).__name__}"


def find_packs_files(path):
    """Makes the pack's own modules importable, last: they must replace none of Python's and of the dependencies."""
    sys.path += [os.path.dirname(path), os.getcwd()]


def preload(names, folder):
    """Imports what the action's preload names: modules, and files of the pack as ./lib/models.py. They get the names
    under which the action, whose file is in the folder, imports them."""
    for name in names:
        if name.startswith("./"):
            path = os.path.abspath(name[: -len(".py")])
            above = folder if path.startswith(folder + os.sep) else os.getcwd()
            name = os.path.relpath(path, above).replace(os.sep, ".").removesuffix(".__init__")
        __import__(name)


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
        text = encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidResult(f"the action's return value is not JSON: {error}") from None
    with open(RESULT, "w", encoding="utf-8") as file:
        file.write(text)


def encode(value):
    """Returns JSON that every reader takes: half of a surrogate pair becomes U+FFFD."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    if "\\ud" not in text:
        return text
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def report(error):
    """Writes the exception to the failure file, and its traceback to stderr."""
    kind = type(error)
    try:
        message = str(error)
    except Exception:
        message = "<exception str() failed>"
    text = "".join(traceback.format_exception(kind, error, action_frames(error.__traceback__)))
    sys.stderr.write(text)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", __name__):
        name = f"{kind.__module__}.{name}"
    failure = {"error": message[:MAX_ERROR], "error_type": name, "traceback": text[-MAX_TRACEBACK:]}
    if disk_full(error):
        failure["disk_full"] = True
    write_failure(failure)


def write_failure(failure):
    with open(FAILURE, "w", encoding="utf-8") as file:
        file.write(encode(failure))


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


terminated = False


def terminate(_signal, _frame):
    # As an exception, SIGTERM lets the action's own clean-up run.
    global terminated
    terminated = True
    raise SystemExit(128 + signal.SIGTERM)


def main(arguments):
    names = []
    while arguments[0].startswith(PRELOAD):
        names.append(arguments.pop(0)[len(PRELOAD) :])
    action = Action(arguments[0], arguments[1] if len(arguments) > 1 else "")
    signal.signal(signal.SIGTERM, terminate)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.argv = [action.path]
    find_packs_files(action.path)
    stdin, early = take_stdin(), None
    try:
        preload(names, os.path.dirname(action.path))
    except BaseException as error:  # it belongs to the execution that gets this sandbox
        early = error
    document = read_document(stdin)
    set_environment(document.get("execution") or {})

    def run():
        if early is not None:
            raise early
        write_result(action.run(document.get("parameters") or {}, document.get("secrets") or {}))

    status = end_of(run)
    return end_of(await_threads) or status


def end_of(step):
    """Takes a step and returns the exit status that its end means. An exception is written down."""
    try:
        step()
    except SystemExit as end:
        status = exit_status(end.code)
        if status != 0 and disk_full():
            write_failure({"disk_full": True})
        return status
    except BaseException as error:  # whatever it is, it belongs into the record
        report(error)
        return 1
    return 0


def await_threads():
    """Waits for threads and submitted futures, as Python does at its end, and says what SIGTERM cuts off."""
    try:
        if not terminated:
            threading._shutdown()
    finally:
        left = [t.name for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
        if left:
            print(f"attune: cut off before the end of the threads {', '.join(left)}", file=sys.stderr, flush=True)


if __name__ == "__main__" and sys.argv[1] == "--check":
    sys.exit(check(sys.argv[2:]))
elif __name__ == "__main__":
    status = main(sys.argv[1:])
    for step in (atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):
        try:
            step()
        except BaseException as problem:
            print(f"while ending: {problem!r}", file=sys.stderr, flush=True)
    # Not sys.exit: it would wait for every thread that the action left behind.
    os._exit(status)
