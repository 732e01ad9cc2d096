package pack

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"attune/internal/strictjson"
)

// readPackageJSON checks what package.json makes npm install.
func (r *manifestReader) readPackageJSON() error {
	var description struct {
		Dependencies         map[string]string `json:"dependencies"`
		OptionalDependencies map[string]string `json:"optionalDependencies"`
		PeerDependencies     map[string]string `json:"peerDependencies"`
		Workspaces           any               `json:"workspaces"`
		Overrides            any               `json:"overrides"`
	}
	text, ok, err := r.json(packageFile, maxYAMLBytes, &description)
	if err != nil || !ok {
		return err
	}
	lines := jsonLines(text)
	for _, group := range []struct {
		field    string
		packages map[string]string
	}{
		{"dependencies", description.Dependencies},
		{"optionalDependencies", description.OptionalDependencies},
		{"peerDependencies", description.PeerDependencies},
	} {
		at := jsontext.Pointer("").AppendToken(group.field)
		for _, name := range slices.Sorted(maps.Keys(group.packages)) {
			if wrong := npmPackageProblem(name, cmp.Or(group.packages[name], "*")); wrong != "" {
				r.problem(packageFile, lines[at.AppendToken(name)], group.field+"."+name, "%s", wrong)
			}
		}
	}
	if description.Workspaces != nil {
		r.problem(packageFile, lines["/workspaces"], "workspaces", "is not supported; leave it out")
	}
	r.checkOverrides("overrides", lines["/overrides"], description.Overrides)
	return nil
}

// checkOverrides checks the versions that package.json substitutes for others, however deep.
func (r *manifestReader) checkOverrides(field string, line int, value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			r.checkOverrides(field+"."+name, line, value[name])
		}
	case string:
		if strings.HasPrefix(value, "$") { // the version that dependencies ask for
			return
		}
		if wrong := npmPackageProblem("override", value); wrong != "" {
			r.problem(packageFile, line, field, "%s", wrong)
		}
	}
}

// readPackageLock checks where package-lock.json takes packages from. npm verifies the rest against package.json.
func (r *manifestReader) readPackageLock() error {
	var lock struct {
		LockfileVersion int `json:"lockfileVersion"`
		Packages        map[string]struct {
			Resolved string `json:"resolved"`
			Link     bool   `json:"link"`
		} `json:"packages"`
	}
	if _, ok, err := r.json(packageLockFile, maxPackageLockBytes, &lock); err != nil || !ok {
		return err
	}
	if lock.LockfileVersion < 2 {
		r.problem(packageLockFile, 0, "lockfileVersion", "must be 2 or 3; make the file anew with npm 7 or later")
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(lock.Packages)) {
		p := lock.Packages[name]
		web := strings.HasPrefix(p.Resolved, "https://") || strings.HasPrefix(p.Resolved, "http://")
		if p.Link || p.Resolved != "" && !web {
			r.problem(packageLockFile, 0, "packages."+name,
				"is not taken from the registry; only packages of the registry are allowed")
		}
	}
	return nil
}

// json reads a JSON file; ok is false when it is not there or not readable, which then is among the problems.
func (r *manifestReader) json(file string, limit int64, into any) (text []byte, ok bool, err error) {
	text, ok, err = r.text(file, limit)
	if err != nil || !ok {
		return nil, false, err
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	err = strictjson.Unmarshal(text, into)
	if refused, ok := errors.AsType[*strictjson.Error](err); ok {
		r.problem(file, lineAt(text, int(refused.Offset)), refused.Path, "%v", refused.Err)
		return nil, false, nil
	}
	return text, err == nil, err
}

// jsonLines finds the lines of the members of an object, and of the members of those.
func jsonLines(text []byte) map[jsontext.Pointer]int {
	lines := map[jsontext.Pointer]int{}
	tokens := jsontext.NewDecoder(bytes.NewBuffer(text))
	line, counted := 1, int64(0)
	for {
		if _, err := tokens.ReadToken(); err != nil {
			return lines
		}
		line += bytes.Count(text[counted:tokens.InputOffset()], []byte("\n"))
		counted = tokens.InputOffset()
		if at := tokens.StackPointer(); tokens.StackDepth() <= 2 && lines[at] == 0 {
			lines[at] = line
		}
	}
}
