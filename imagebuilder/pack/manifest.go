package pack

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"attune"
	"attune/internal/jsonschema"
	"attune/internal/size"
)

// Files of a pack that have a meaning of their own.
const (
	manifestFile     = "pack.yaml"
	configSchemaFile = "config.schema.yaml"
	actionsDir       = "actions"
	policiesDir      = "policies"
)

const maxActions = 500

// manifestReader reads everything that a pack says about itself and gathers what is wrong with it.
type manifestReader struct {
	files fs.FS
	names []packFile
	// ceilings are the most that an action may ask for.
	ceilings attune.Resources
	manifest attune.Manifest
	problems []attune.Problem
	// actions has each action that is defined so far, by its ref.
	actions map[string]*definedAction
	// policies has the file and line of each policy so far, by the action's ref; "" is the whole pack's.
	policies map[string]string
}

// readManifest reads pack.yaml and the files it goes with. Problems are for the pack's author, the error is not.
func readManifest(
	files fs.FS, names []packFile, ceilings attune.Resources,
) (attune.Manifest, []attune.Problem, error) {
	r := &manifestReader{
		files: files, names: names, ceilings: ceilings,
		actions: map[string]*definedAction{}, policies: map[string]string{},
	}
	for _, step := range []func() error{
		r.readPack, r.readActions, r.readPolicies, r.readConfigSchema,
		r.readRequirements, r.readPackageJSON, r.readPackageLock,
	} {
		if err := step(); err != nil {
			return attune.Manifest{}, nil, err
		}
	}
	return r.manifest, r.problems, nil
}

func (r *manifestReader) problem(file string, line int, field, format string, args ...any) {
	r.problems = append(r.problems, attune.Problem{
		File: file, Line: line, Field: field, Message: fmt.Sprintf(format, args...),
	})
}

// has reports whether the pack has this regular file.
func (r *manifestReader) has(name string) bool {
	for _, file := range r.names {
		if file.name == name {
			return true
		}
	}
	return false
}

// text reads a file of at most limit bytes; ok is false when there is none, or it is too large.
func (r *manifestReader) text(name string, limit int64) (text []byte, ok bool, err error) {
	for _, file := range r.names {
		if file.name != name {
			continue
		}
		if file.size > limit {
			r.problem(name, 0, "", "is larger than %s", size.Exact(limit))
			return nil, false, nil
		}
		text, err := fs.ReadFile(r.files, name)
		return text, err == nil, err
	}
	return nil, false, nil
}

// yaml reads a YAML file by a definition of the schema; "" is none. ok is false when the file is not there or not
// readable, which then is among the problems.
func (r *manifestReader) yaml(name, definition string) (_ value, ok bool, err error) {
	text, ok, err := r.text(name, maxYAMLBytes)
	if err != nil || !ok {
		return value{}, false, err
	}
	v, ok := r.parse(name, text, definition)
	return v, ok, nil
}

func (r *manifestReader) parse(name string, text []byte, definition string) (_ value, ok bool) {
	node, problem := parseYAML(text)
	if problem != nil {
		r.problem(name, problem.Line, "", "%s", problem.Message)
		return value{}, false
	}
	return value{reader: r, file: name, line: 1, node: node, rule: rules()[definition]}, true
}

func (r *manifestReader) readPack() error {
	top, ok, err := r.yaml(manifestFile, FilePack)
	if err != nil || !ok || !top.object() {
		return err
	}
	m := &r.manifest
	m.Ref, _ = top.at("ref").text()
	m.Version = top.at("version").packVersion()
	m.Label, _ = top.at("label").text()
	m.Description, _ = top.at("description").text()
	m.Author, _ = top.at("author").text()
	m.Tags = top.at("tags").texts()
	top.at("dependencies").dependencies(&m.Dependencies)
	return nil
}

// packVersion reads a semantic version. Quotes would not mend what YAML takes for a number: it has too few parts.
func (v value) packVersion() string {
	if v.given() && v.node.plain != "" {
		v.refuse("%s", v.rule.PatternMessage)
		return ""
	}
	version, _ := v.text()
	return version
}

func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

func (r *manifestReader) readActions() error {
	found := 0
	for _, file := range r.names {
		dir, name := path.Split(file.name)
		switch {
		case dir != actionsDir+"/" || !isYAML(name):
			continue
		case found == maxActions:
			r.problem(file.name, 0, "", "is one action too many: a pack has at most %d", maxActions)
			return nil
		default:
			found++
			if err := r.readAction(file.name); err != nil {
				return err
			}
		}
	}
	if found == 0 {
		r.problem(actionsDir, 0, "", "must have at least one <name>.yaml: a pack without actions does nothing")
	}
	return nil
}

// readConfigSchema checks the schema of the pack's configuration, which is kept with the pack's files.
func (r *manifestReader) readConfigSchema() error {
	top, ok, err := r.yaml(configSchemaFile, "")
	if err == nil && ok {
		top.schema()
	}
	return err
}

// schema reads a JSON Schema and finds the lines of what is wrong with it.
func (v value) schema() []byte {
	if !v.given() {
		return nil
	}
	raw, ok := v.json()
	if !ok {
		return nil
	}
	_, err := jsonschema.Compile(raw)
	if err == nil {
		return raw
	}
	for _, problem := range problemsOf(err) {
		v.below(problem.Field).refuse("%s", problem.Message)
	}
	return nil
}
