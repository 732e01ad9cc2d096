package imagebuilder

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"attune"
	"attune/imagebuilder/pack"
)

// dependencies is everything but the base that determines a pack's dependency layer.
type dependencies struct {
	// System names Debian packages, sorted.
	System []string
	// Python are requirement specifiers of the manifest, sorted; Requirements is the archive's requirements.txt.
	Python       []string
	Requirements string
	// Wheels are the files of the archive's wheels folder, by name, with their checksums.
	Wheels map[string]string
	// InstallScripts names the npm packages whose install scripts run, sorted.
	InstallScripts []string
	// Package is the package.json for npm, and Lock the archive's package-lock.json. Exact is set if the lock is complete
	// for the package.
	Package string
	Lock    string
	Exact   bool
}

func (d dependencies) empty() bool { return len(d.System) == 0 && !d.python() && !d.node() }
func (d dependencies) python() bool {
	return len(d.Python) > 0 || strings.TrimSpace(d.Requirements) != ""
}
func (d dependencies) node() bool { return d.Package != "" }

// oneLine matches a requirement that pip takes on its command line: not one that begins with a dash.
var oneLine = regexp.MustCompile(`^[^-\s][^\r\n\x00]*$`)

// readDependencies reads the dependencies of a pack from its manifest and its unpacked files.
func readDependencies(m attune.Manifest, files fs.FS) (dependencies, error) {
	d := dependencies{System: slices.Sorted(slices.Values(m.Dependencies.System))}
	for _, name := range d.System {
		if !pack.ValidSystemPackage(name) {
			return d, attune.Errorf(attune.CodeInvalid, "%q is not the name of a Debian package", name)
		}
	}
	if m.Dependencies.Python != nil {
		d.Python = slices.Sorted(slices.Values(m.Dependencies.Python.Packages))
		for _, requirement := range d.Python {
			if !oneLine.MatchString(requirement) {
				return d, attune.Errorf(attune.CodeInvalid, "%q is not a Python requirement", requirement)
			}
		}
	}
	var err error
	if d.Requirements, err = readOptional(files, "requirements.txt"); err != nil {
		return d, err
	}
	if d.python() {
		if d.Wheels, err = checksums(files, "wheels"); err != nil {
			return d, err
		}
	}
	return d, d.readNode(m, files)
}

// readNode merges the packages of the archive's package.json and of the manifest.
func (d *dependencies) readNode(m attune.Manifest, files fs.FS) error {
	text, err := readOptional(files, "package.json")
	if err != nil {
		return err
	}
	if d.Lock, err = readOptional(files, "package-lock.json"); err != nil {
		return err
	}
	var packages []string
	if m.Dependencies.NodeJS != nil {
		packages = m.Dependencies.NodeJS.Packages
		d.InstallScripts = slices.Sorted(slices.Values(m.Dependencies.NodeJS.InstallScripts))
	}
	var description map[string]json.RawMessage
	if err := json.Unmarshal([]byte(cmp.Or(text, "{}")), &description); err != nil {
		return attune.Invalid("the pack has a broken file", attune.Problem{File: "package.json", Message: err.Error()})
	}
	wanted := map[string]string{}
	if own := description["dependencies"]; own != nil {
		if err := json.Unmarshal(own, &wanted); err != nil {
			return attune.Invalid("the pack has a broken file",
				attune.Problem{File: "package.json", Field: "dependencies", Message: err.Error()})
		}
	}
	_, optional := description["optionalDependencies"]
	_, peers := description["peerDependencies"] // npm installs them as well
	if len(wanted) == 0 && len(packages) == 0 && !optional && !peers {
		if len(d.InstallScripts) > 0 {
			return attune.Errorf(attune.CodeInvalid, "install_scripts names packages, and the pack has no npm packages")
		}
		d.Lock = ""
		return nil
	}
	if d.Exact = d.Lock != "" && len(packages) == 0; d.Exact {
		d.Package = text // npm compares it with the lock
		return nil
	}
	for _, specifier := range packages {
		name, version := pack.SplitNPMSpecifier(specifier)
		wanted[name] = version
	}
	kept := map[string]any{"private": true, "dependencies": wanted}
	for _, key := range []string{"optionalDependencies", "peerDependencies", "peerDependenciesMeta", "overrides"} {
		if value, ok := description[key]; ok {
			kept[key] = value
		}
	}
	merged, err := json.Marshal(kept)
	d.Package = string(merged)
	return err
}

// readOptional reads a text file of the archive, which may be missing, without the byte order mark of some editors.
func readOptional(files fs.FS, name string) (string, error) {
	text, err := fs.ReadFile(files, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return strings.TrimPrefix(string(text), "\ufeff"), nil
}

// checksums returns the digests of the files in a folder, which may be missing.
func checksums(files fs.FS, dir string) (map[string]string, error) {
	entries, err := fs.ReadDir(files, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	sums := map[string]string{}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		file, err := files.Open(dir + "/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", dir, err)
		}
		sum := sha256.New()
		_, err = io.Copy(sum, file)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("read %s: %w", entry.Name(), err)
		}
		sums[entry.Name()] = hex.EncodeToString(sum.Sum(nil))
	}
	return sums, nil
}

// writeInputs writes the inputs of the steps to a folder that the container can read.
func (d dependencies) writeInputs(dir string, files fs.FS) error {
	for name, text := range map[string]string{
		"requirements.txt":       d.Requirements,
		"packages.txt":           strings.Join(d.Python, "\n") + "\n",
		"node/package.json":      d.Package,
		"node/package-lock.json": d.Lock,
		"install_scripts.mjs":    installScripts,
	} {
		if strings.TrimSpace(text) == "" {
			continue
		}
		if err := writeFile(filepath.Join(dir, name), strings.NewReader(text)); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "wheels"), 0o700); err != nil {
		return err
	}
	for name := range d.Wheels {
		file, err := files.Open("wheels/" + name)
		if err != nil {
			return err
		}
		if err := errors.Join(writeFile(filepath.Join(dir, "wheels", name), file), file.Close()); err != nil {
			return err
		}
	}
	return makeReadable(dir)
}

// makeReadable makes a tree readable for the users of the container, whatever the umask.
func makeReadable(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return root.Chmod(name, 0o755)
		}
		return root.Chmod(name, 0o644)
	})
}

func writeFile(path string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// layerKey is the name of the dependency layer: the same key means the same layer.
func (d dependencies) layerKey(base digest.Digest) string {
	const method = 2 // incremented when the way of installing changes
	return hashOf([]any{method, base, d})
}

// install runs the steps that install the dependencies, in a workspace.
func (d dependencies) install(ctx context.Context, w *workspace, files fs.FS, log io.Writer) error {
	if err := d.writeInputs(w.inputs(), files); err != nil {
		return fmt.Errorf("lay inputs: %w", err)
	}
	if len(d.System) > 0 {
		logf(log, "installing Debian packages: %s", strings.Join(d.System, " "))
		if err := w.run(ctx, aptStep("installing the Debian packages", d.System...), log); err != nil {
			return err
		}
	}
	if d.python() {
		if err := d.installPython(ctx, w, log); err != nil {
			return err
		}
	}
	if d.node() {
		logf(log, "installing npm packages")
		for _, step := range w.b.npmSteps(d) {
			if err := w.run(ctx, step, log); err != nil {
				return err
			}
		}
	}
	return nil
}

// installPython first tries with the pack's own wheels alone, without a network: the archive takes precedence over the
// index, and a pack that contains all of its wheels builds anywhere.
func (d dependencies) installPython(ctx context.Context, w *workspace, log io.Writer) error {
	if len(d.Wheels) == 0 {
		logf(log, "installing Python packages")
		return w.run(ctx, pipStep(d, true, w.b.pipEnvironment()), log)
	}
	logf(log, "installing Python packages from wheels/")
	alone := w.run(ctx, pipStep(d, false, nil), log)
	if !errors.Is(alone, errStepFailed) {
		return alone // nil, or an error that another try does not cure
	}
	logf(log, "wheels/ alone does not do; installing Python packages from the index, too")
	err := w.run(ctx, pipStep(d, true, w.b.pipEnvironment()), log)
	if err != nil && errors.Is(alone, errNoCompiler) && ctx.Err() == nil {
		return alone // no index would have helped as a compiler does
	}
	return err
}
