package pack

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPreload(t *testing.T) {
	t.Parallel()
	const python, nodejs, shell = "forecast.py", "forecast.mjs", "forecast.sh"
	tooMany := make([]string, 21)
	for i := range tooMany {
		tooMany[i] = fmt.Sprint("m", i)
	}
	for _, c := range []struct {
		entryPoint, preload string
		want                []string
	}{
		{python, "[pandas, xml.etree, _ssl, ./lib/models.py, ./actions/helper.py]", nil},
		{nodejs, `[lodash, "node:fs", fs/promises, "@scope/name", 7zip-bin, ./lib/models.mjs]`, nil},
		{python, "[]", nil},
		{python, "", nil},
		{python, "pandas", []string{":3: preload: must be a list, is a string"}},
		{python, "[pandas, pandas]", []string{":3: preload[1]: is there twice"}},
		{python, "[3]", []string{`:3: preload[0]: must be a string, is a number; write it in quotes: "3"`}},
		{python, "[--version, '', ../x.py, /etc/passwd]", []string{
			"preload[0]: must be a module or package", "preload[1]: is empty", "preload[2]: must be a module",
			"preload[3]: must be a module",
		}},
		{python, "[a-b, lodash/fp, 'node:fs', '@scope/name', 1a]", []string{
			"preload[0]: must be a module, such as pandas", "preload[1]: must be a module, such as",
			"preload[2]: must be a module, such as", "preload[3]: must be a module, such as",
			"preload[4]: must be a module, such as",
		}},
		{python, "[./lib/missing.py, ./../pack.yaml, ./lib]", []string{
			":3: preload[0]: is the file lib/missing.py, and the pack does not have it",
			"preload[1]: is the file ../pack.yaml", "preload[2]: is the file lib, and",
		}},
		{python, "[./lib/models.mjs, ./lib/a.b.py]", []string{
			"preload[0]: must end in .py, without another dot", "preload[1]: must end in .py, without another dot",
		}},
		{python, "[./actions/forecast.py]", []string{"preload[0]: is the action's own file"}},
		{nodejs, "[./lib/models.py]", []string{"preload[0]: must end in .js, .mjs or .cjs"}},
		{nodejs, "[./actions/forecast.mjs]", []string{"preload[0]: is the action's own file"}},
		{shell, "[jq]", []string{"actions/forecast.yaml:3: preload: is for Python and Node.js"}},
		{python, "[" + strings.Join(tooMany, ", ") + "]", []string{":3: preload: must have at most 20 items, has 21"}},
		{python, "[" + strings.Repeat("m", 257) + "]", []string{"preload[0]: must have at most 256 bytes"}},
	} {
		files := with(weather, "actions/forecast.yaml", "ref: forecast\nentry_point: "+c.entryPoint+"\npreload: "+c.preload,
			"actions/helper.py", "x", "actions/forecast.mjs", "x", "actions/forecast.sh", "true", "lib/models.py", "x",
			"lib/models.mjs", "x", "lib/a.b.py", "x")
		assertProblems(t, c.entryPoint+" "+c.preload, c.want, problemsIn(t, files))
	}
	opened := mustOpen(t, zipBytes(t, with(weather, "actions/forecast.yaml",
		"ref: forecast\nentry_point: forecast.py\npreload: [pandas, ./lib/models.py]\n", "lib/models.py", "x"), nil))
	if got := opened.Manifest.Actions[0].Preload; !slices.Equal(got, []string{"pandas", "./lib/models.py"}) {
		t.Errorf("preload is %q", got)
	}
}
