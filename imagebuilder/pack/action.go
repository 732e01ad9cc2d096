package pack

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"attune"
)

const (
	packRefLength     = 63
	maxTimeoutSeconds = 24 * 60 * 60
	maxWarm           = 64
	maxEnv            = 100
	maxEnvBytes       = 32 << 10
	maxSecrets        = 100
)

var (
	identifier   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
)

// runnerByExtension is how an entry point tells its language.
var runnerByExtension = map[string]attune.RunnerType{
	".py": attune.RunnerPython,
	".js": attune.RunnerNodeJS, ".mjs": attune.RunnerNodeJS, ".cjs": attune.RunnerNodeJS,
	".sh": attune.RunnerShell, ".bash": attune.RunnerShell,
}

// definedAction is what a policy has to know of the action that it is for.
type definedAction struct {
	// ref is empty where the file's is wrong.
	ref, file string
	// index is the action's place in the manifest.
	index int
	// parameters are the names below "properties" of its schema.
	parameters []string
}

// readAction reads one file below actions/.
func (r *manifestReader) readAction(file string) error {
	top, ok, err := r.yaml(file)
	if err != nil || !ok {
		return err
	}
	fields, ok := top.members("ref", "label", "description", "runner_type", "entry_point", "parameters", "output_schema",
		"secrets", "env", "timeout", "retry", "network", "runtime", "resources", "policy", "warm")
	if !ok {
		return nil
	}
	a := attune.Action{
		Pack:           r.manifest.Ref,
		TimeoutSeconds: int(fields.at("timeout").integer(attune.DefaultTimeoutSeconds, 1, maxTimeoutSeconds)),
		Network:        attune.NetworkNone,
		Secrets:        fields.at("secrets").secrets(),
		Env:            fields.at("env").environment(),
		OutputSchema:   fields.at("output_schema").schema(),
		Resources:      fields.at("resources").resources(r.ceilings),
		Retry:          fields.at("retry").retry(),
	}
	a.Label, _ = fields.at("label").text(200)
	a.Description, _ = fields.at("description").text(4000)
	if network := fields.at("network").choice(string(attune.NetworkNone), string(attune.NetworkEgress)); network != "" {
		a.Network = attune.Network(network)
	}
	if runtime := fields.at("runtime"); runtime.given() {
		a.Runtime = attune.Runtime(runtime.choice(string(attune.RuntimeRunc), string(attune.RuntimeRunsc)))
	}
	if warm := fields.at("warm"); warm.given() {
		n := int(warm.integer(0, 0, maxWarm))
		a.Warm = &n
	}
	a.Ref = fields.at("ref").required().actionRef()
	a.EntryPoint, a.Function = fields.at("entry_point").required().entryPoint()
	a.RunnerType = runnerOf(fields, a.EntryPoint)
	a.Parameters = fields.at("parameters").parameters(a.RunnerType)
	if a.RunnerType == attune.RunnerShell && a.Function != "" {
		fields.at("entry_point").refuse("names a function, and a shell action is run as a whole; leave %q out", ":"+a.Function)
	}
	if a.RunnerType == attune.RunnerShell && a.EntryPoint != "" {
		if err := r.checkScript(actionsDir + "/" + a.EntryPoint); err != nil {
			return err
		}
	}
	defined := &definedAction{
		ref: a.Ref, file: file, index: len(r.manifest.Actions), parameters: fields.at("parameters").child("properties").names(),
	}
	a.Policy = fields.at("policy").inlinePolicy(defined)
	if a.Ref != "" {
		r.actions[a.Ref] = defined
	}
	r.manifest.Actions = append(r.manifest.Actions, a)
	return nil
}

// checkScript refuses what editors on Windows leave in a script, and what bash answers with words that help nobody.
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
		r.problem(name, 1, "", "begins with a byte order mark, which bash takes for a part of the command; save it as UTF-8 without one")
	}
	if line, _, _ := bytes.Cut(head, []byte("\n")); bytes.HasSuffix(line, []byte("\r")) {
		r.problem(name, 1, "", "has Windows line endings, which bash takes for a part of the command; save it with Unix ones (LF)")
	}
	return nil
}

// actionRef reads "<pack>.<name>" or "<name>" and returns the former.
func (p place) actionRef() string {
	text, ok := p.text(2*packRefLength + 1)
	if !ok {
		return ""
	}
	pack, name, prefixed := strings.Cut(text, ".")
	if !prefixed {
		pack, name = p.r.manifest.Ref, text
	}
	ref := pack + "." + name
	switch {
	case pack != p.r.manifest.Ref && attune.ValidPackRef(p.r.manifest.Ref):
		p.refuse("belongs to the pack %q, and this is the pack %q", pack, p.r.manifest.Ref)
	case !attune.ValidActionName(name):
		p.refuse("must be lower-case letters, digits, _ and -, begin with a letter and have at most %d characters behind the dot", packRefLength)
	case p.r.actions[ref] != nil:
		p.refuse("is the same as in %s", p.r.actions[ref].file)
	default:
		return ref
	}
	return ""
}

// entryPoint reads "file" or "file:function" and makes sure that the file is there.
func (p place) entryPoint() (file, function string) {
	text, ok := p.text(512)
	if !ok {
		return "", ""
	}
	file, function, named := strings.Cut(text, ":")
	switch {
	case named && !identifier.MatchString(function):
		p.refuse("must name a function behind the colon, such as %s:run", file)
	case path.Clean(file) != file || path.IsAbs(file) || file == ".." || strings.HasPrefix(file, "../"):
		p.refuse("must be a path below actions/, such as run.py")
	case strings.HasPrefix(file, actionsDir+"/") && p.r.has(file):
		p.refuse("is already relative to actions/: write %q", strings.TrimPrefix(text, actionsDir+"/"))
	case !p.r.has(actionsDir + "/" + file):
		p.refuse("is the file %s/%s, and the pack does not have it", actionsDir, file)
	default:
		return file, function
	}
	return "", ""
}

// runnerOf takes the runner that is named, or the one that goes with the entry point's extension.
func runnerOf(fields members, entryPoint string) attune.RunnerType {
	extension := path.Ext(entryPoint)
	runner := attune.RunnerType(fields.at("runner_type").choice(
		string(attune.RunnerPython), string(attune.RunnerNodeJS), string(attune.RunnerShell)))
	switch {
	case runner == "" && entryPoint != "" && !fields.at("runner_type").given():
		if runner = runnerByExtension[extension]; runner == "" {
			fields.at("runner_type").refuse("is required: the extension of %q does not tell (.py, .js, .mjs, .cjs, .sh or .bash)", entryPoint)
		}
	case runner == attune.RunnerNodeJS && entryPoint != "" && runnerByExtension[extension] != runner:
		fields.at("entry_point").refuse("must end in .js, .mjs or .cjs for Node.js to load it")
	}
	return runner
}

// parameters reads the schema of an action's parameters.
func (p place) parameters(runner attune.RunnerType) json.RawMessage {
	raw := p.schema()
	if raw == nil {
		return nil
	}
	top := p.child("type")
	if !top.given() || top.node.value != "object" {
		top.refuse(`must be object: parameters have names, and stand below "properties"`)
		return nil
	}
	properties := p.child("properties")
	for name, property := range properties.entries() {
		if runner == attune.RunnerShell && !identifier.MatchString(name) {
			property.refuse("must be letters, digits and _, to be the shell variable PARAM_<name>")
		}
	}
	return raw
}

func (p place) secrets() []string {
	names := p.texts(maxSecrets, 128)
	for i, name := range names {
		if name != "" && !attune.ValidSecretName(name) {
			p.item(i).refuse("must be letters, digits and _, and not begin with a digit")
		}
	}
	return names
}

// reservedVariables belong to the runners and interpreters; an action that set them would fail in odd ways.
var reservedVariables = []string{"PATH", "HOME", "IFS", "ENV", "PS4", "SHELLOPTS", "PROMPT_COMMAND", "GLIBC_TUNABLES", "NODE_OPTIONS", "NODE_PATH"}
var reservedPrefixes = []string{"ATTUNE_", "LD_", "PYTHON", "BASH", "PARAM_", "SECRET_"}

func (p place) environment() map[string]string {
	env := map[string]string{}
	for name, variable := range p.entries() {
		reserved := slices.Contains(reservedVariables, name) ||
			slices.ContainsFunc(reservedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		switch {
		case !variableName.MatchString(name):
			variable.refuse("must be letters, digits and _, and not begin with a digit")
		case reserved:
			variable.refuse("is a variable that the runner sets; choose another name")
		default:
			env[name], _ = variable.required().text(maxEnvBytes)
		}
	}
	if len(env) > maxEnv {
		p.refuse("has more than %d variables", maxEnv)
	}
	if len(env) == 0 {
		return nil
	}
	return env
}
