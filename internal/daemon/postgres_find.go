package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"attune"
)

// postgresDirs is where Debian and Ubuntu keep the server's programs, one folder a major version.
const postgresDirs = "/usr/lib/postgresql/*/bin"

// findPostgres returns the folder with the server's programs: of the wanted major version, or the newest when wanted is
// empty. Where the system has no such folders, the PATH decides.
func findPostgres(wanted string) (string, error) {
	dirs, err := filepath.Glob(postgresDirs)
	if err != nil {
		return "", err
	}
	best, bestVersion := "", 0
	for _, dir := range dirs {
		version, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err != nil || !isFile(filepath.Join(dir, "postgres")) || !isFile(filepath.Join(dir, "initdb")) {
			continue
		}
		if wanted == strconv.Itoa(version) {
			return dir, nil
		}
		if version > bestVersion {
			best, bestVersion = dir, version
		}
	}
	if best != "" && wanted == "" {
		return best, nil
	}
	if found, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(found), nil
	}
	if best != "" {
		return "", attune.Errorf(attune.CodeUnavailable,
			"the data folder was made by PostgreSQL %s, and only PostgreSQL %d is installed: install postgresql-%s",
			wanted, bestVersion, wanted)
	}
	return "", attune.Errorf(attune.CodeUnavailable,
		"PostgreSQL is not installed: run make deps, or name a database with ATTUNE_DATABASE_URL")
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
