package pack

import (
	"path"
	"regexp"
	"strings"

	"attune"
)

var (
	// pythonModule is the name of a module, and pythonFile a file that a module can be made of.
	pythonModule = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)
	pythonFile   = regexp.MustCompile(`^([^./]+/)*[^./]+\.py$`)
)

// preload reads what an action's runner loads ahead: modules and packages by their names, which the image may have, and
// files of the pack.
func (v value) preload(a *attune.Action) []string {
	if !v.given() {
		return nil
	}
	if a.RunnerType == attune.RunnerShell {
		v.refuse("is for Python and Node.js; a shell action has nothing that can be loaded ahead")
		return nil
	}
	names := v.texts()
	for i, name := range names {
		item := v.item(i)
		switch file, isFile := strings.CutPrefix(name, "./"); {
		case a.RunnerType == "" || !item.rule.Pattern.MatchString(name): // told already
		case isFile:
			item.preloadedFile(file, a)
		case a.RunnerType == attune.RunnerPython && !pythonModule.MatchString(name):
			item.refuse("must be a module, such as pandas or xml.etree, or a file of the pack, such as ./lib/models.py")
		}
	}
	return names
}

func (v value) preloadedFile(file string, a *attune.Action) {
	switch {
	case file == actionsDir+"/"+a.EntryPoint:
		v.refuse("is the action's own file, which runs when its execution begins; name files that it imports")
	case !v.reader.has(file):
		v.refuse("is the file %s, and the pack does not have it", file)
	case a.RunnerType == attune.RunnerPython && !pythonFile.MatchString(file):
		v.refuse("must end in .py, without another dot in its path, for Python to import it")
	case a.RunnerType == attune.RunnerNodeJS && runnerByExtension[path.Ext(file)] != attune.RunnerNodeJS:
		v.refuse("must end in .js, .mjs or .cjs for Node.js to load it")
	}
}
