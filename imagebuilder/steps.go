package imagebuilder

import (
	_ "embed" // for install_scripts.mjs
	"net/url"
	"slices"
	"strconv"
	"strings"

	"attune/images"
)

// aptStep installs Debian packages, as root of the container. The virtual environment sees Debian's Python packages
// where one is named.
func aptStep(name string, packages ...string) step {
	// Lists and downloads go to folders that are not part of the layer, so there is nothing to clean afterwards.
	script := `set -e
options=(-q -y -o APT::Sandbox::User=root -o Acquire::https::CAInfo=` + caBundle + `
  -o Acquire::Languages=none -o Dpkg::Use-Pty=0 -o DPkg::Options::=--force-unsafe-io)
apt-get "${options[@]}" update
apt-get "${options[@]}" install --no-install-recommends -- "$@"`
	if slices.ContainsFunc(packages, func(name string) bool { return strings.HasPrefix(name, "python3-") }) {
		script += "\nsed -i /^include-system/s/false/true/ " + images.VenvDir + "/pyvenv.cfg"
	}
	return step{
		name:    name,
		args:    append([]string{"/bin/bash", "-c", script, "apt"}, packages...),
		dir:     "/",
		env:     []string{"DEBIAN_FRONTEND=noninteractive"},
		caps:    packageCaps,
		online:  true,
		reading: aptReading,
	}
}

// pipStep installs Python packages into the virtual environment, without any capability. Building a source distribution
// runs its code, here like everything else.
func pipStep(d dependencies, online bool, env []string) step {
	args := []string{
		"/usr/bin/python3", "-m", "pip", "--python", images.VenvDir + "/bin/python", "install",
		"--no-cache-dir", "--no-input", "--disable-pip-version-check", "--no-warn-script-location",
		"--progress-bar", "off", "--root-user-action", "ignore", "--find-links", inputsDir + "/wheels",
	}
	if !online {
		// Source distributions are built with Debian's wheels of setuptools where there is no index.
		args = append(args, "--no-index", "--find-links", "/usr/share/python-wheels")
	}
	if strings.TrimSpace(d.Requirements) != "" {
		args = append(args, "-r", inputsDir+"/requirements.txt")
	}
	if len(d.Python) > 0 {
		args = append(args, "-r", inputsDir+"/packages.txt")
	}
	return step{
		name:    "installing the Python packages",
		args:    args,
		dir:     "/tmp",
		env:     env,
		online:  online,
		reading: pipReading,
	}
}

// installScripts is a program that finds the packages with install scripts.
//
//go:embed install_scripts.mjs
var installScripts string

// npmSteps install npm packages, without any capability. An .npmrc of the pack is never used: it could make npm start
// another program instead of git. No package's script runs, but for those that the pack names.
func (b *Builder) npmSteps(d dependencies) []step {
	command := "install"
	if d.Exact {
		command = "ci"
	}
	install := step{
		name: "installing the npm packages",
		args: []string{"/bin/bash", "-c", `set -e
cp ` + inputsDir + `/node/package*.json .
npm ` + command + ` --omit=dev
node ` + inputsDir + `/install_scripts.mjs "$@"`, "npm"},
	}
	scripts := step{
		name: "running the install scripts",
		args: []string{"/bin/bash", "-c", `set -e
if [ -n "$(find node_modules -name binding.gyp -print -quit)" ]; then
  npm install --prefix /tmp/headers ` + b.definition.Node.Name + `@` + b.definition.Node.Version + `
  export npm_config_nodedir=/tmp/headers/node_modules/` + b.definition.Node.Name + `
fi
export JOBS=` + strconv.Itoa(max(1, int(b.config.Limits.CPU))) + `
npm rebuild --ignore-scripts=false --foreground-scripts -- "$@"`, "npm"},
	}
	steps := []step{install}
	if len(d.InstallScripts) > 0 {
		steps = append(steps, scripts)
	}
	for i := range steps {
		s := &steps[i]
		s.args = append(s.args, d.InstallScripts...)
		s.dir, s.env, s.online, s.reading = images.Root, b.npmEnvironment(), true, npmReading
	}
	steps[len(steps)-1].args[2] += "\nrm -f package.json package-lock.json"
	return steps
}

func (b *Builder) npmEnvironment() []string {
	env := []string{
		"npm_config_cache=/tmp/npm-cache", "npm_config_update_notifier=false", "npm_config_audit=false",
		"npm_config_fund=false", "npm_config_progress=false", "npm_config_ignore_scripts=true", "npm_config_git=git",
		"npm_config_allow_git=none",
	}
	if b.config.NPMRegistry != "" {
		env = append(env, "npm_config_registry="+b.config.NPMRegistry)
	}
	return env
}

func (b *Builder) pipEnvironment() []string {
	env := []string{"PIP_RETRIES=2", "PIP_TIMEOUT=20"}
	if b.config.PythonIndex != "" {
		env = append(env, "PIP_INDEX_URL="+b.config.PythonIndex)
	}
	// pip ignores an index without TLS unless it is named here.
	if index, err := url.Parse(b.config.PythonIndex); err == nil && index.Scheme == "http" {
		env = append(env, "PIP_TRUSTED_HOST="+index.Host)
	}
	return env
}
