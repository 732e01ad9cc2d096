package pack

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"path"
	"regexp"
	"strings"

	"attune"
)

// actionNameLength is how long the part of an action's ref behind the dot may be.
const actionNameLength = 63

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// runnerByExtension is the language of an entry point that names none.
var runnerByExtension = map[string]attune.RunnerType{
	".py": attune.RunnerPython,
	".js": attune.RunnerNodeJS, ".mjs": attune.RunnerNodeJS, ".cjs": attune.RunnerNodeJS,
	".sh": attune.RunnerShell, ".bash": attune.RunnerShell,
}

// definedAction is what a policy has to know of the action that it is for.
type definedAction struct {
	// ref is empty where the file's is wrong.
	ref, file string
	// index is that of the action in the manifest.
	index int
	// parameters are the names below "properties" of its schema.
	parameters []string
}

// readAction reads one file below actions/.
func (r *manifestReader) readAction(file string) error {
	top, ok, err := r.yaml(file, FileAction)
	if err != nil || !ok || !top.object() {
		return err
	}
	a := attune.Action{
		Pack:           r.manifest.Ref,
		TimeoutSeconds: int(top.at("timeout").integer(attune.DefaultTimeoutSeconds)),
		Network:        cmp.Or(attune.Network(top.at("network").choice()), attune.NetworkNone),
		Runtime:        attune.Runtime(top.at("runtime").choice()),
		Secrets:        top.at("secrets").texts(),
		Env:            top.at("env").environment(),
		OutputSchema:   top.at("output_schema").schema(),
		Resources:      top.at("resources").resources(r.ceilings),
		Retry:          top.at("retry").retry(),
		Warm:           top.at("warm").optional(),
	}
	a.Label, _ = top.at("label").text()
	a.Description, _ = top.at("description").text()
	a.Ref = top.at("ref").actionRef()
	if err := r.readCode(top, &a); err != nil {
		return err
	}
	defined := &definedAction{
		ref: a.Ref, file: file, index: len(r.manifest.Actions),
		parameters: top.at("parameters").at("properties").names(),
	}
	a.Policy = top.at("policy").inlinePolicy(defined)
	if a.Ref != "" {
		r.actions[a.Ref] = defined
	}
	r.manifest.Actions = append(r.manifest.Actions, a)
	return nil
}

// readCode reads which code an action runs, in which language, and with which parameters.
func (r *manifestReader) readCode(action value, a *attune.Action) error {
	entryPoint := action.at("entry_point")
	a.EntryPoint, a.Function = entryPoint.entryPoint()
	a.RunnerType = action.runner(a.EntryPoint)
	a.Parameters = action.at("parameters").parameters(a.RunnerType)
	a.Preload = action.at("preload").preload(a)
	if a.RunnerType != attune.RunnerShell {
		return nil
	}
	if a.Function != "" {
		entryPoint.refuse("names a function, and a shell action is run as a whole; leave %q out", ":"+a.Function)
	}
	if a.EntryPoint == "" {
		return nil
	}
	return r.checkScript(actionsDir + "/" + a.EntryPoint)
}

// checkScript refuses what editors on Windows leave in a script; the errors of bash would not explain it.
func (r *manifestReader) checkScript(name string) error {
	file, err := r.files.Open(name)
	if err != nil {
		return err
	}
	head, err := io.ReadAll(io.LimitReader(file, 4<<10))
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		r.problem(name, 1, "", "begins with a byte order mark, which bash takes for a part of the command; "+
			"save it as UTF-8 without one")
	}
	if line, _, _ := bytes.Cut(head, []byte("\n")); bytes.HasSuffix(line, []byte("\r")) {
		r.problem(name, 1, "", "has Windows line endings, which bash takes for a part of the command; "+
			"save it with Unix ones (LF)")
	}
	return nil
}

// actionRef reads "<pack>.<name>" or "<name>" and returns the former.
func (v value) actionRef() string {
	text, ok := v.text()
	if !ok {
		return ""
	}
	r := v.reader
	pack, name, prefixed := strings.Cut(text, ".")
	if !prefixed {
		pack, name = r.manifest.Ref, text
	}
	ref := pack + "." + name
	switch {
	case pack != r.manifest.Ref && r.manifest.Ref != "":
		v.refuse("belongs to the pack %q, and this is the pack %q", pack, r.manifest.Ref)
	case !attune.ValidActionName(name):
		v.refuse("must be lower-case letters, digits, _ and -, begin with a letter and have at most %d characters "+
			"behind the dot", actionNameLength)
	case r.actions[ref] != nil:
		v.refuse("is the same as in %s", r.actions[ref].file)
	default:
		return ref
	}
	return ""
}

// entryPoint reads "file" or "file:function" and makes sure that the file is there.
func (v value) entryPoint() (file, function string) {
	text, ok := v.text()
	if !ok {
		return "", ""
	}
	file, function, named := strings.Cut(text, ":")
	switch {
	case named && !identifier.MatchString(function):
		v.refuse("must name a function behind the colon, such as %s:run", file)
	case path.Clean(file) != file || path.IsAbs(file) || file == ".." || strings.HasPrefix(file, "../"):
		v.refuse("must be a path below actions/, such as run.py")
	case strings.HasPrefix(file, actionsDir+"/") && v.reader.has(file):
		v.refuse("is already relative to actions/: write %q", strings.TrimPrefix(text, actionsDir+"/"))
	case !v.reader.has(actionsDir + "/" + file):
		v.refuse("is the file %s/%s, and the pack does not have it", actionsDir, file)
	default:
		return file, function
	}
	return "", ""
}

// runner takes the runner that the action names, or the one that goes with the entry point's extension.
func (v value) runner(entryPoint string) attune.RunnerType {
	named, extension := v.at("runner_type"), path.Ext(entryPoint)
	runner := attune.RunnerType(named.choice())
	switch {
	case runner == "" && entryPoint != "" && !named.given():
		if runner = runnerByExtension[extension]; runner == "" {
			named.refuse("is required: the extension of %q does not tell (.py, .js, .mjs, .cjs, .sh or .bash)", entryPoint)
		}
	case runner == attune.RunnerNodeJS && entryPoint != "" && runnerByExtension[extension] != runner:
		v.at("entry_point").refuse("must end in .js, .mjs or .cjs for Node.js to load it")
	}
	return runner
}

// parameters reads the schema of an action's parameters.
func (v value) parameters(runner attune.RunnerType) json.RawMessage {
	raw := v.schema()
	if raw == nil {
		return nil
	}
	kind := v.at("type")
	if !kind.given() || kind.node.value != "object" {
		kind.refuse(`must be object: parameters have names, and stand below "properties"`)
		return nil
	}
	for name, property := range v.at("properties").members() {
		if runner == attune.RunnerShell && !identifier.MatchString(name) {
			property.refuse("must be letters, digits and _, to be the shell variable PARAM_<name>")
		}
	}
	return raw
}
