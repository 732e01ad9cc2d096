package pack

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestWrongPackages(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"python --index-url=http://x":               "is an option of pip",
		"python -e .":                               "is an option of pip",
		"python git+https://x/y":                    "is an address",
		"python requests @ https://x/y.whl":         "is an address",
		"python ./requests.whl":                     "is a path",
		"python requests>=":                         "must be a name and versions",
		"python requests>=2.x":                      "must be a name and versions",
		"python requests 2.0":                       "must be a name and versions",
		"python requests==1||==2":                   "must be a name and versions",
		"python _requests":                          "must be a name and versions",
		"python requests; import os; $(x)":          "must be a name and versions",
		"python requests\n-r other.txt":             "must be a name and versions",
		"python requests>=1\n>=2":                   "must be a name and versions",
		"nodejs got@git+https://x/y":                "is an address",
		"nodejs got@file:../x":                      "is an address",
		"nodejs got@npm:other@1":                    "is an address",
		"nodejs user/repo":                          "must be a name and a range",
		"nodejs got@user/repo":                      "is an address",
		"nodejs git+ssh://git@x/y":                  "is an address",
		"nodejs got@":                               "must be a name and a range",
		"nodejs got@^x.y.z.1":                       "must be a name and a range",
		"nodejs --registry=x":                       "must be a name and a range",
		"nodejs Got":                                "must be a name and a range",
		"nodejs got@>=1,<2":                         "must be a name and a range",
		"nodejs " + strings.Repeat("x", 215) + "@1": "must be a name and a range",
	} {
		language, specifier, _ := strings.Cut(text, " ")
		quoted, err := json.Marshal(specifier)
		if err != nil {
			t.Fatal(err)
		}
		pack := weather["pack.yaml"] + "dependencies:\n  " + language + ":\n    packages: [" + string(quoted) + "]\n"
		assertProblems(t, text, []string{"pack.yaml:5: dependencies." + language + ".packages[0]: " + want},
			problemsIn(t, with(weather, "pack.yaml", pack)))
	}
}

func TestInstallScripts(t *testing.T) {
	t.Parallel()
	pack := func(names string) map[string]string {
		return with(weather, "pack.yaml", weather["pack.yaml"]+
			"dependencies:\n  nodejs:\n    packages: [bcrypt]\n    install_scripts: "+names+"\n")
	}
	assertProblems(t, "good", nil, problemsIn(t, pack(`[bcrypt, "@a/b.c"]`)))
	for names, want := range map[string]string{
		"[bcrypt@5]":       "install_scripts[0]: must be the name of an npm package, such as better-sqlite3, without",
		"[bcrypt, bcrypt]": "install_scripts[1]: is there twice",
		"[--global]":       "install_scripts[0]: must be the name of an npm package",
		"true":             "install_scripts: must be a list",
	} {
		assertProblems(t, names, []string{"pack.yaml:6: dependencies.nodejs." + want}, problemsIn(t, pack(names)))
	}
}

func TestWrongFiles(t *testing.T) {
	t.Parallel()
	lock := func(packages string) string { return `{"lockfileVersion": 3, "packages": {` + packages + `}}` }

	for name, test := range map[string]struct {
		file, text string
		want       []string
	}{
		"no action": {"actions/forecast.yaml", "", []string{"actions: must have at least one <name>.yaml"}},
		"same ref": {
			"actions/other.yaml",
			"ref: weather.forecast\nentry_point: forecast.py\n",
			[]string{"actions/other.yaml:1: ref: is the same as in actions/forecast.yaml"},
		},
		"config schema": {
			"config.schema.yaml",
			"a: 1\ntype: x\n",
			[]string{"config.schema.yaml:1: a: is not a keyword", "config.schema.yaml:2: type: fits none"},
		},
		"good requirements": {
			"requirements.txt",
			"# all\r\nrequests>=2 # why\n\nxmltodict==0.13.0 \\\n  --hash=sha256:ab12 \\\n  --hash=sha256:cd34\n" +
				"tomli; python_version < '3.11'\n",
			nil,
		},
		"bad requirements": {"requirements.txt", "requests\n-r other.txt\n--extra-index-url http://x\n\n" +
			"x \\\n @ file:///x\n./y\n", []string{
			`requirements.txt:2: "-r other.txt" is an option of pip`,
			"requirements.txt:3: ", "requirements.txt:5: ", "requirements.txt:7: ",
		}},
		"option behind a comment": {"requirements.txt", "# see \\\n-r other.txt\n", []string{"requirements.txt:2: "}},
		"option behind a strange line end": {"requirements.txt", "requests # x\u2028--index-url=x\n", []string{
			"requirements.txt:1: has a control character",
		}},
		"option in another encoding": {"requirements.txt", "# -*- coding: utf-7 -*-\nrequests #+AAo--index-url\n", []string{
			"requirements.txt:1: declares an encoding",
		}},
		"variable": {"requirements.txt", "${SECRET}\n", []string{"requirements.txt:1: "}},
		"good package.json": {
			"package.json",
			`{"dependencies": {"got": "^14", "a": "", "@b/c": "1 || 2"},
				"overrides": {"x": {"y": "$got", "z": "1.0.0"}}, "devDependencies": {"d": "file:../d"}}`,
			nil,
		},
		"bad package.json": {"package.json", `{
"dependencies": {
"got": "git+https://x/y",
"x": "user/repo"
},
"workspaces": [],
"overrides": {"a": "file:x"}
}`, []string{
			"package.json:3: dependencies.got: is an address", "package.json:4: dependencies.x: is an address",
			"package.json:6: workspaces: is not supported", "package.json:7: overrides.a: is an address",
		}},
		"broken package.json": {
			"package.json", "{\n\"dependencies\":\n}", []string{"package.json:3: dependencies: is not valid JSON"},
		},
		"wrong package.json": {
			"package.json", "{\"dependencies\": []}", []string{"package.json:1: dependencies: has the wrong type: array"},
		},
		"good lock": {
			"package-lock.json", lock(`"": {}, "node_modules/got": {"resolved": "https://registry.example/got.tgz"}`), nil,
		},
		"bad lock": {"package-lock.json", lock(`"node_modules/a": {"resolved": "git+ssh://x"},
			"node_modules/b": {"link": true, "resolved": "b"}`), []string{
			"package-lock.json: packages.node_modules/a: is not taken from the registry",
			"package-lock.json: packages.node_modules/b: ",
		}},
		"old lock": {"package-lock.json", `{"lockfileVersion": 1}`, []string{"lockfileVersion: must be 2 or 3"}},
	} {
		assertProblems(t, name, test.want, problemsIn(t, with(weather, test.file, test.text)))
	}
}
