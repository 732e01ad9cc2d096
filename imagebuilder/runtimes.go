package imagebuilder

import (
	"github.com/Masterminds/semver/v3"
	pep440 "github.com/aquasecurity/go-pep440-version"

	"attune"
	"attune/images"
)

// checkRuntimes refuses a pack that asks for another Python or Node.js than the base has.
func checkRuntimes(base images.Base, d attune.Dependencies) error {
	if d.Python != nil && d.Python.Version != "" {
		wanted, err := pep440.NewSpecifiers(d.Python.Version)
		if err != nil {
			return attune.Errorf(attune.CodeInvalid, "%q is not a range of Python versions", d.Python.Version)
		}
		has, err := pep440.Parse(base.Python)
		if err != nil || !wanted.Check(has) {
			return attune.Errorf(attune.CodeInvalid, "the pack needs Python %s, and there is %s", d.Python.Version, base.Python)
		}
	}
	if d.NodeJS != nil && d.NodeJS.Version != "" {
		wanted, err := semver.NewConstraint(d.NodeJS.Version)
		if err != nil {
			return attune.Errorf(attune.CodeInvalid, "%q is not a range of Node.js versions", d.NodeJS.Version)
		}
		has, err := semver.NewVersion(base.Node.Version)
		if err != nil || !wanted.Check(has) {
			return attune.Errorf(attune.CodeInvalid, "the pack needs Node.js %s, and there is %s", d.NodeJS.Version,
				base.Node.Version)
		}
	}
	return nil
}
