package pack

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"unicode"

	"github.com/Masterminds/semver/v3"
	pep440 "github.com/aquasecurity/go-pep440-version"

	"attune"
	"attune/images"
)

const (
	exampleRequirement  = "requests>=2.28.0"
	exampleNPMSpecifier = "got@^14"
)

var (
	// requirement is a name, extras, versions, and a marker behind a semicolon.
	requirement = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[A-Za-z0-9._, -]*\])?\s*` +
		`([^;]*?)\s*(?:;\s*([A-Za-z0-9_.'"<>=!~()\s,*+-]+))?$`)
	versionOperator = regexp.MustCompile(`^(===|~=|==|!=|<=|>=|<|>)\s*[A-Za-z0-9]`)
	npmName         = regexp.MustCompile(`^(@[a-z0-9][a-z0-9._~-]*/)?[a-z0-9][a-z0-9._~-]*$`)
	npmTag          = regexp.MustCompile(`^[a-z][a-z0-9._-]*$`)
)

// dependencies reads what the image holds beyond its base.
func (v value) dependencies(d *attune.Dependencies) {
	if !v.object() {
		return
	}
	base, err := images.Default(runtime.GOARCH)
	if err != nil { // no images for this architecture, and so no versions to compare with
		base = images.Base{}
	}
	d.Python = v.at("python").language(pythonProblem, func(version string) string {
		return pythonVersionProblem(version, base.Python)
	})
	d.NodeJS = v.at("nodejs").language(npmProblem, func(version string) string {
		return nodeVersionProblem(version, base.Node.Version)
	})
	if d.NodeJS != nil {
		d.NodeJS.InstallScripts = v.at("nodejs").at("install_scripts").texts()
	}
	d.System = v.at("system").texts()
}

// language reads the packages of one language; the functions say what is wrong with a package and with a version.
func (v value) language(wrongPackage, wrongVersion func(string) string) *attune.LanguageDependencies {
	if !v.object() {
		return nil
	}
	packages, version := v.at("packages"), v.at("version")
	d := &attune.LanguageDependencies{Packages: packages.texts()}
	for i, text := range d.Packages {
		if wrong := wrongPackage(text); text != "" && wrong != "" {
			packages.item(i).refuse("%s", wrong)
		}
	}
	if text, ok := version.text(); ok {
		d.Version = text
		if wrong := wrongVersion(text); wrong != "" {
			version.refuse("%s", wrong)
		}
	}
	return d
}

func pythonVersionProblem(constraint, has string) string {
	wanted, ok := parsePEP440(constraint)
	if !ok {
		return `must be a range of versions such as ">=3.9,<4.0"`
	}
	if version, err := pep440.Parse(has); err == nil && !wanted.Check(version) {
		return fmt.Sprintf("excludes Python %s, which is the one that Attune has", has)
	}
	return ""
}

func nodeVersionProblem(constraint, has string) string {
	wanted, err := semver.NewConstraint(constraint)
	if err != nil || strings.Contains(constraint, ",") {
		return `must be a range of versions such as ">=20"`
	}
	if version, err := semver.NewVersion(has); err == nil && !wanted.Check(version) {
		return fmt.Sprintf("excludes Node.js %s, which is the one that Attune has", has)
	}
	return ""
}

// parsePEP440 reads version specifiers. Unlike the library, it requires an operator in front of each version.
func parsePEP440(text string) (specifiers pep440.Specifiers, ok bool) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); !versionOperator.MatchString(part) || strings.Contains(part, "|") {
			return specifiers, false
		}
	}
	specifiers, err := pep440.NewSpecifiers(text)
	return specifiers, err == nil
}

// pythonProblem says what is wrong with a requirement. Options, addresses and files are refused because pip would take
// code for which no index vouches.
func pythonProblem(text string) string {
	const form = "must be a name and versions, such as " + exampleRequirement
	switch {
	case strings.HasPrefix(text, "-"):
		return "is an option of pip, and options are not allowed; " + form
	case strings.Contains(text, "://") || strings.Contains(text, "@"):
		return "is an address; put the wheel into wheels/ and name it by its name and version"
	case strings.ContainsAny(text, `/\`):
		return "is a path; put the wheel into wheels/ and name it by its name and version"
	}
	parts := requirement.FindStringSubmatch(text)
	if parts == nil || strings.ContainsFunc(text, unicode.IsControl) {
		return form
	}
	versions := strings.TrimSpace(parts[3])
	if strings.HasPrefix(versions, "(") && strings.HasSuffix(versions, ")") {
		versions = versions[1 : len(versions)-1]
	}
	if versions == "" {
		return ""
	}
	if _, ok := parsePEP440(versions); !ok {
		return form
	}
	return ""
}

// ValidSystemPackage reports whether name is a Debian package, with a version or without, that apt may be given. apt
// gives a meaning to a name that begins with a dash, or ends in a dash or a plus sign.
func ValidSystemPackage(name string) bool {
	return rules()["pack"].field("dependencies").field("system").Items.Pattern.MatchString(name)
}

// SplitNPMSpecifier cuts "name@range"; a scope begins with an @ of its own.
func SplitNPMSpecifier(s string) (name, version string) {
	if at := strings.LastIndex(s, "@"); at > 0 {
		return s[:at], s[at+1:]
	}
	return s, "*"
}

// npmProblem says what is wrong with "name" or "name@range".
func npmProblem(text string) string {
	name, versions := SplitNPMSpecifier(text)
	return npmPackageProblem(name, versions)
}

func npmPackageProblem(name, versions string) string {
	const form = "must be a name and a range of versions, such as " + exampleNPMSpecifier
	switch {
	case strings.ContainsAny(versions, ":/") || strings.Contains(name, ":"):
		return "is an address, an alias or a path; only packages of the registry are allowed, such as " + exampleNPMSpecifier
	case !npmName.MatchString(name) || len(name) > 214:
		return form
	case versions == "" || strings.Contains(versions, ","):
		return form
	case npmTag.MatchString(versions):
		return ""
	}
	if _, err := semver.NewConstraint(versions); err != nil {
		return form
	}
	return ""
}
