package attune

import (
	"regexp"
	"time"
)

var packRef = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// ValidPackRef reports whether s can name a pack. The form is safe as a path segment, an image name and an object key.
func ValidPackRef(s string) bool { return packRef.MatchString(s) }

// Pack is a named set of actions that is uploaded, installed and removed as one.
type Pack struct {
	Ref         string `json:"ref"`
	Label       string `json:"label,omitempty"`
	Description string `json:"description,omitempty"`
	Author      string `json:"author,omitempty"`
	// Version is the semantic version that serves now; empty until an installation has succeeded.
	Version string   `json:"version,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	// ImageDigest is the OCI manifest digest of the version that serves now.
	ImageDigest string    `json:"image_digest,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// Manifest describes a pack: what pack.yaml and the files in actions/ and policies/ say.
type Manifest struct {
	Ref          string       `json:"ref"`
	Label        string       `json:"label,omitempty"`
	Description  string       `json:"description,omitempty"`
	Author       string       `json:"author,omitempty"`
	Version      string       `json:"version"`
	Tags         []string     `json:"tags,omitempty"`
	Dependencies Dependencies `json:"dependencies"`
	Actions      []Action     `json:"actions"`
	// Policy bounds all actions of the pack together.
	Policy Policy `json:"policy"`
}

// Dependencies are what a pack's image has beyond its base.
type Dependencies struct {
	Python *LanguageDependencies `json:"python,omitempty"`
	NodeJS *LanguageDependencies `json:"nodejs,omitempty"`
	// System names Debian packages.
	System []string `json:"system,omitempty"`
}

// LanguageDependencies are the dependencies of one language.
type LanguageDependencies struct {
	// Version constrains the runtime: PEP 440 for Python, npm's semver ranges for Node.js; empty takes the default.
	Version string `json:"version,omitempty"`
	// Packages are requirement specifiers in the language's own notation.
	Packages []string `json:"packages,omitempty"`
	// InstallScripts names the npm packages whose install scripts run while the image is built.
	InstallScripts []string `json:"install_scripts,omitempty"`
}

// InstallationStatus is the state of an installation: pending → installing → installed | failed.
type InstallationStatus string

const (
	// InstallationPending waits for a worker.
	InstallationPending InstallationStatus = "pending"
	// InstallationInstalling is being built by a worker.
	InstallationInstalling InstallationStatus = "installing"
	// InstallationInstalled has an image; the newest installed one is the version that serves.
	InstallationInstalled InstallationStatus = "installed"
	// InstallationFailed left no image; the version that served before goes on serving.
	InstallationFailed InstallationStatus = "failed"
)

// Terminal reports whether the status is final.
func (s InstallationStatus) Terminal() bool {
	return s == InstallationInstalled || s == InstallationFailed
}

// InstallationPhase is a step of an installation.
type InstallationPhase string

const (
	// PhaseQueued: no worker has taken it yet.
	PhaseQueued InstallationPhase = "queued"
	// PhaseFetch reads and checks the archive.
	PhaseFetch InstallationPhase = "fetch"
	// PhaseBase makes the base image available.
	PhaseBase InstallationPhase = "base"
	// PhaseDependencies installs Debian, Python and Node.js packages, or finds the layer that has them.
	PhaseDependencies InstallationPhase = "dependencies"
	// PhaseFiles adds the pack's own files.
	PhaseFiles InstallationPhase = "files"
	// PhaseImage writes the image and makes its version the one that serves.
	PhaseImage InstallationPhase = "image"
	// PhaseDone: the installation has ended.
	PhaseDone InstallationPhase = "done"
)

// Progress is how much of an installation, in percent, is done when it enters the phase.
func (p InstallationPhase) Progress() int {
	switch p {
	case PhaseFetch:
		return 5
	case PhaseBase:
		return 10
	case PhaseDependencies:
		return 30
	case PhaseFiles:
		return 80
	case PhaseImage:
		return 90
	case PhaseDone:
		return 100
	default:
		return 0
	}
}

// Installation is one attempt to turn an archive into an image.
type Installation struct {
	ID      string `json:"id"`
	Pack    string `json:"pack"`
	Version string `json:"version"`
	// ArchiveSHA256 is the lower-case hex digest of the stored archive, which is also its name in the pack bucket.
	ArchiveSHA256 string             `json:"archive_sha256"`
	Status        InstallationStatus `json:"status"`
	Phase         InstallationPhase  `json:"phase"`
	Progress      int                `json:"progress"`
	// Error says in a sentence why it failed; the log has the details.
	Error       string     `json:"error,omitempty"`
	ImageDigest string     `json:"image_digest,omitempty"`
	CreatedAt   time.Time  `json:"created_at"`
	StartedAt   *time.Time `json:"started_at,omitempty"`
	FinishedAt  *time.Time `json:"finished_at,omitempty"`
}
